import { expect, onTestFinished, test } from "vitest";
import { isRoot, runFile } from "../../../../testing/supervised-cluster.ts";
import { serverAccount } from "./account.ts";

const name = `cardea-t${process.pid}`;

test.skipIf(!isRoot)("root takes the first account that exists", async () => {
  expect(await serverAccount([name, "nobody"])).toMatchObject({ name: "nobody", uid: 65_534 });
});

test.skipIf(!isRoot)("root makes a system user without a shell where there is none, once", async () => {
  onTestFinished(async () => {
    await runFile("userdel", [name]).catch(() => undefined);
  });
  const [one, two] = await Promise.all([serverAccount([name]), serverAccount([name])]);
  expect(one).toEqual(two);
  expect(one?.uid).toBeGreaterThan(0);
  expect((await runFile("getent", ["passwd", name])).stdout.trim()).toMatch(/:\/nonexistent:\/usr\/sbin\/nologin$/);
});

test.skipIf(!isRoot)("root is told what to do where no user can be made", async () => {
  await expect(serverAccount(["not a name"])).rejects.toMatchObject({ code: "database_unavailable" });
  await expect(serverAccount(["not a name"])).rejects.toThrow(/create a system user `not a name`/);
});
