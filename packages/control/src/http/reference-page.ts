import type { errors } from "@cardea/core/contract/errors";
import { z } from "zod";

/** The part of an OpenAPI document that the page shows. */
const Operation = z.object({
  summary: z.string().default(""),
  description: z.string().default(""),
  tags: z.array(z.string()).default(["operations"]),
  parameters: z
    .array(
      z.object({ name: z.string(), in: z.string(), required: z.boolean().default(false), schema: z.json().optional() }),
    )
    .default([]),
  requestBody: z.object({ content: z.record(z.string(), z.object({ schema: z.json() })) }).optional(),
  responses: z
    .record(
      z.string(),
      z.object({
        description: z.string().default(""),
        content: z.record(z.string(), z.object({ schema: z.json().optional() })).optional(),
      }),
    )
    .default({}),
});
const Document = z.object({
  info: z.object({ title: z.string(), description: z.string().default("") }),
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.object({ schemas: z.record(z.string(), z.json()).default({}) }).default({ schemas: {} }),
});
type Operation = z.infer<typeof Operation>;

const style = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 14px/1.5 ui-monospace, monospace } pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; padding: .75rem }
section { border-top: 1px solid var(--line); padding: .5rem 0 } h3 { margin: .5rem 0 } .method { display: inline-block; min-width: 4.5rem; font-weight: 700 }
table { border-collapse: collapse; width: 100% } td, th { border-top: 1px solid var(--line); padding: .35rem .5rem; text-align: left; vertical-align: top }
summary { cursor: pointer } nav a { margin-right: 1rem } :target { background: color-mix(in srgb, currentColor 8%, transparent) }`;

/** The reference as one self-contained page: no script, no font, nothing from elsewhere. */
export function referencePage(openApi: unknown, table: typeof errors, version: string): string {
  const document = Document.parse(openApi);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const groups = grouped(operations);
  const sections = [...groups].map(
    ([group, members]) => `<h2 id="${text(group)}">${text(group)}</h2>${members.map(operationHtml).join("")}`,
  );
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) =>
      `<section id="schema-${text(name)}"><h3><code>${text(name)}</code></h3>${schemaHtml(schema)}</section>`,
  );
  const rows = Object.entries(table).map(
    ([code, row]) =>
      `<tr id="${text(code)}"><td><code>${text(code)}</code></td><td>${row.status}</td><td>${row.exit}</td><td>${row.retryable ? "yes" : "no"}</td><td>${text(row.title)}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${text(document.info.title)} API ${text(version)}</title><style>${style}</style></head>
<body><h1>${text(document.info.title)} API <small>${text(version)}</small></h1><p>${text(document.info.description)} The same as data: <a href="/v1/openapi.json">openapi.json</a>.</p>
<nav>${[...groups.keys(), "errors", "schemas"].map((group) => `<a href="#${text(group)}">${text(group)}</a>`).join("")}</nav>
${sections.join("\n")}
<h2 id="errors">errors</h2><table><thead><tr><th>code</th><th>status</th><th>exit</th><th>try again</th><th>meaning</th></tr></thead><tbody>${rows.join("\n")}</tbody></table>
<h2 id="schemas">schemas</h2>${schemas.join("\n")}
</body></html>
`;
}

interface Member {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
}

function grouped(operations: readonly Member[]): Map<string, Member[]> {
  const groups = new Map<string, Member[]>();
  for (const member of operations) {
    const group = member.operation.tags[0] ?? "operations";
    groups.set(group, [...(groups.get(group) ?? []), member]);
  }
  return groups;
}

function operationHtml({ path, method, operation }: Member): string {
  const parameters = operation.parameters.map(
    ({ name, in: where, required, schema }) =>
      `<tr><td><code>${text(name)}</code></td><td>${text(where)}${required ? ", required" : ""}</td><td><code>${text(JSON.stringify(schema ?? {}))}</code></td></tr>`,
  );
  const bodies = Object.values(operation.requestBody?.content ?? {}).map(
    ({ schema }) => `<details><summary>body</summary>${schemaHtml(schema)}</details>`,
  );
  const answers = Object.entries(operation.responses).map(([status, { description, content }]) => {
    const [first] = Object.values(content ?? {});
    const label = `${status} ${description === "Default Response" ? "" : description}`.trim();
    return first?.schema === undefined
      ? `<p>${text(label)}</p>`
      : `<details><summary>${text(label)}</summary>${schemaHtml(first.schema)}</details>`;
  });
  return `<section id="${text(`${method}-${path}`)}"><h3><span class="method">${text(method)}</span><code>${text(path)}</code></h3><p>${text(operation.summary)}${operation.description === "" ? "" : `. ${text(operation.description)}`}</p>
${parameters.length === 0 ? "" : `<table><tbody>${parameters.join("")}</tbody></table>`}${bodies.join("")}${answers.join("")}</section>`;
}

/** A schema as JSON, references as links. */
function schemaHtml(schema: unknown): string {
  const json = text(JSON.stringify(schema, undefined, 2));
  return `<pre>${json.replaceAll(/#\/components\/schemas\/([A-Za-z]+)/g, '<a href="#schema-$1">$1</a>')}</pre>`;
}

function text(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
