import { expect, it } from "vitest";
import { ResourceView } from "@cardea/core/wire/api/operations";
import { samplePublicPrivileges, sampleSpec } from "@cardea/core/policy/samples";
import { Terminal } from "../output/terminal.ts";
import { resourceWords } from "./resources.ts";

const stream = { write: () => true };
const terminal = new Terminal({ json: false, out: stream, err: stream, environment: { NO_COLOR: "1" } });

const { id, name, kind, outpost } = sampleSpec();
const view = ResourceView.parse({
  id,
  name,
  kind,
  labels: {},
  owners: [],
  outpost: { id: outpost, name: "site-a", connected: true },
  state: "ready",
  missing: [],
  warnings: [],
  offers: [],
});

it("a resource is shown with what everybody there may, each on one line, whatever its outpost wrote", () => {
  expect(resourceWords(view, terminal)).not.toContain("everybody");
  expect(
    resourceWords({ ...view, publicPrivileges: samplePublicPrivileges }, terminal)
      .split("\n")
      .slice(-2),
  ).toEqual([
    "  everybody may: connect to the databases `orders`",
    "  everybody may: make temporary tables in `orders`",
  ]);
  const forged = { summary: ["nothing\n  role admin: yours"] };
  expect(resourceWords({ ...view, publicPrivileges: forged }, terminal)).toContain("nothing role admin: yours");
});
