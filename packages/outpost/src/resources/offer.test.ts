import { expect, test } from "vitest";
import { postgresSpec } from "@cardea/connectors/postgres/spec/spec";
import { withoutGateway } from "./offer.ts";

test("without a gateway nothing is offered through one", () => {
  const patterns = [{ name: "sql.select" }];
  const offer = withoutGateway({
    capabilities: postgresSpec.capabilities,
    roles: {
      both: { patterns, vias: ["gateway", "direct"], narrows: ["gateway", "direct"] },
      unsafe: { patterns, vias: ["gateway"], narrows: ["gateway"] },
    },
  });
  expect(offer.capabilities.vias).toEqual({ direct: postgresSpec.capabilities.vias.direct });
  expect(offer.roles).toEqual({ both: { patterns, vias: ["direct"], narrows: ["direct"] } });
});
