import { describe, expect, test } from "vitest";
import { readGatewaySettings, type GatewaySection } from "./settings.ts";

const read = (section: GatewaySection, environment: Record<string, string> = {}) =>
  readGatewaySettings(["postgres"], section, environment, "/etc/cardea/outpost.yaml");

function refusal(section: GatewaySection, environment: Record<string, string> = {}): unknown {
  try {
    return read(section, environment);
  } catch (error) {
    return error;
  }
}

describe("settings of a gateway", () => {
  test("are none where nobody configured one", () => {
    expect(read({})).toEqual([]);
    expect(read({}, { CARDEA_LISTEN_PORT: "7400" })).toEqual([]);
  });

  test("come from the file, whose paths lie beside it", () => {
    expect(
      read({
        postgres: { listen: "0.0.0.0:7432", publicHost: "db.example.org", tls: { cert: "a.pem", key: "/k.pem" } },
      }),
    ).toEqual([
      {
        kind: "postgres",
        listen: { host: "0.0.0.0", port: 7432 },
        publicHost: "db.example.org",
        publicPort: undefined,
        tls: { cert: "/etc/cardea/a.pem", key: "/k.pem" },
        trustedProxies: [],
      },
    ]);
  });

  test("come from the environment, which wins", () => {
    const [settings] = read(
      { postgres: { listen: "127.0.0.1:1" } },
      {
        CARDEA_GATEWAY_POSTGRES_LISTEN: "[::1]:7432",
        CARDEA_GATEWAY_POSTGRES_PUBLIC_PORT: "5432",
        CARDEA_GATEWAY_POSTGRES_PROXIES: "10.0.0.0/8, 192.0.2.1",
      },
    );
    expect(settings).toMatchObject({
      listen: { host: "::1", port: 7432 },
      publicHost: "::1",
      publicPort: 5432,
      trustedProxies: ["10.0.0.0/8", "192.0.2.1"],
    });
  });

  test.each<[string, GatewaySection, Record<string, string>, RegExp]>([
    ["a kind without a gateway", { mysql: { listen: "127.0.0.1:1" } }, {}, /gateway\.mysql/],
    ["no listener", {}, { CARDEA_GATEWAY_POSTGRES_PUBLIC_HOST: "x" }, /gateway\.postgres\.listen/],
    [
      "a certificate without its key",
      {},
      { CARDEA_GATEWAY_POSTGRES_LISTEN: "h:1", CARDEA_GATEWAY_POSTGRES_TLS_CERT: "c" },
      /gateway\.postgres\.tls/,
    ],
    ["every address, and no name", { postgres: { listen: "0.0.0.0:7432" } }, {}, /publicHost/],
    ["a listener that is none", {}, { CARDEA_GATEWAY_POSTGRES_LISTEN: "7432" }, /gateway\.postgres\.listen/],
    ["a port that is none", { postgres: { listen: "h:70000" } }, {}, /no such port/],
    [
      "a network that is none",
      {},
      { CARDEA_GATEWAY_POSTGRES_LISTEN: "h:1", CARDEA_GATEWAY_POSTGRES_PROXIES: "10.0.0.1/8" },
      /trustedProxies/,
    ],
  ])("refuse %s", (_what, section, environment, words) => {
    const error = refusal(section, environment);
    expect(error).toMatchObject({ code: "setting_invalid" });
    expect(String(error)).toMatch(words);
  });
});
