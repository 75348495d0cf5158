import { expect, test } from "vitest";
import { Breaker } from "./breaker.ts";
import { Lane } from "./lane.ts";

function world(after = 3) {
  let nowMs = 0;
  let opened = 0;
  const breaker = new Breaker({
    after,
    pauseMs: { first: 100, max: 1_000 },
    monotonic: { nowMs: () => nowMs },
    random: { bytes: (length) => new Uint8Array(length).fill(255) },
    onOpen: () => opened++,
  });
  return { breaker, pass: (ms: number) => (nowMs += ms), opened: () => opened };
}

test("a breaker opens after so many failures to reach in a row, and says so once", () => {
  const { breaker, opened } = world();
  breaker.failed("resource_unreachable");
  breaker.failed("resource_timeout");
  breaker.succeeded();
  breaker.failed("resource_unreachable");
  breaker.failed("resource_unreachable");
  expect(breaker.open).toBe(false);
  for (let i = 0; i < 10; i++) breaker.failed("resource_unauthorized");
  expect(breaker.open).toBe(true);
  expect(opened()).toBe(1);
});

test("a breaker is not opened by what a reachable resource refuses", () => {
  const { breaker } = world();
  for (let i = 0; i < 10; i++) breaker.failed("lease_stuck");
  expect(breaker.open).toBe(false);
});

test("an open breaker lets one probe through after a pause, whose failure lengthens the next and whose success closes it", () => {
  const { breaker, pass } = world(1);
  breaker.failed("resource_unreachable");
  expect(breaker.waitMs()).toBe(100);
  pass(100);
  expect(breaker.waitMs()).toBe(0);
  breaker.begin();
  expect(breaker.waitMs()).toBeUndefined();
  breaker.failed("resource_unreachable");
  expect(breaker.waitMs()).toBe(200);
  pass(200);
  breaker.begin();
  breaker.succeeded();
  expect(breaker.open).toBe(false);
  expect(breaker.waitMs()).toBe(0);
});

test("calls that were under way when a breaker opened do not lengthen its pause", () => {
  const { breaker } = world(1);
  for (let i = 0; i < 8; i++) breaker.failed("resource_unreachable");
  expect(breaker.waitMs()).toBe(100);
});

test("a lane runs so many at once, in order, and lets whoever gave up go", async () => {
  const lane = new Lane(2);
  const done: (() => void)[] = [];
  const order: number[] = [];
  const never = new AbortController().signal;
  const work = (index: number) => () =>
    new Promise<void>((resolve) => {
      order.push(index);
      done.push(resolve);
    });
  const runs = [0, 1, 2].map((index) => lane.run(never, work(index)));
  const impatient = new AbortController();
  const given = lane.run(impatient.signal, work(3));
  const last = lane.run(never, work(4));
  await new Promise((turn) => setImmediate(turn));
  expect(order).toEqual([0, 1]);
  impatient.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
  for (let i = 0; i < 4; i++) {
    done[i]?.();
    await new Promise((turn) => setImmediate(turn));
  }
  await Promise.all([...runs, last]);
  expect(order).toEqual([0, 1, 2, 4]);
  expect(lane.free).toBe(2);
});
