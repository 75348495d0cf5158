export const sampleResource = "sample-shop";

/** The sample outpost's configuration: the shop in the second embedded PostgreSQL, and the gateway before it. */
export function sampleOutpostConfig(
  shop: { readonly host: string; readonly port: number; readonly passwordFile: string },
  gatewayPort: number,
): string {
  return `# Made by development mode; the form is that of docs/reference/resources-and-roles.md.
gateway:
  postgres: { listen: "127.0.0.1:${String(gatewayPort)}" }
resources:
  - name: ${sampleResource}
    kind: postgres
    labels: { env: sample, data: customer }
    owners: { groups: [dba] }
    connect:
      host: ${shop.host}
      port: ${String(shop.port)}
      databases: [shop]
      user: cardea_admin
      password: { file: ${JSON.stringify(shop.passwordFile)} }
      tls: { mode: disable }
    roles:
      read: { member: [app_ro], actions: [sql.select] }
      write: { member: [app_rw], actions: [sql.select, sql.insert, sql.update, sql.delete] }
    ddl: { as: app_owner }
    gateway: { holdTimeout: 30m, transactionHoldTimeout: 2m }
`;
}
