// Every relative link in a Markdown file leads to a file of the repository, and to a heading of it where it names one.
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize, relative, sep } from "node:path";
import { root } from "./prepare.mjs";
import { repositoryFiles } from "./repository-files.mjs";

const failures = repositoryFiles()
  .filter((path) => path.endsWith(".md"))
  .flatMap(brokenLinks);
for (const failure of failures) process.stdout.write(`${failure}\n`);
process.exitCode = failures.length === 0 ? 0 : 1;

function brokenLinks(path) {
  const text = withoutCode(readFileSync(join(root, path), "utf8"));
  const inline = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)];
  const defined = [...text.matchAll(/^\[[^\]]+\]:\s*<?(\S+?)>?(?:\s+".*")?$/gm)];
  const html = [...text.matchAll(/<(?:a|img)\s[^>]*(?:href|src)="([^"]+)"/g)];
  return [...inline, ...defined, ...html].flatMap((match) => {
    const reason = whyBroken(path, match[1]);
    if (reason === undefined) return [];
    const line = text.slice(0, match.index).split("\n").length;
    return [`${path}:${line}: \`${match[1]}\` ${reason}`];
  });
}

function whyBroken(path, link) {
  if (/^[a-z][a-z0-9+.-]*:/i.test(link)) return undefined;
  const [file, heading] = link.split("#");
  const target = file === "" ? path : normalize(join(dirname(path), decodeURIComponent(file)));
  if (target.startsWith(`..${sep}`) || file.startsWith("/")) return "leads out of the repository";
  const absolute = join(root, target);
  if (!existsSync(absolute)) return "leads nowhere";
  if (heading === undefined || !target.endsWith(".md") || statSync(absolute).isDirectory()) return undefined;
  return headingsOf(relative(root, absolute)).has(decodeURIComponent(heading)) ? undefined : "names no heading there";
}

// Anchors as GitHub makes them: lower case, punctuation dropped, spaces to hyphens, repeats numbered.
function headingsOf(path) {
  const seen = new Map();
  const anchors = new Set();
  const text = withoutCode(readFileSync(join(root, path), "utf8"), false);
  for (const [, title] of text.matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[`*]/g, "");
    const anchor = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-");
    const repeats = seen.get(anchor) ?? 0;
    seen.set(anchor, repeats + 1);
    anchors.add(repeats === 0 ? anchor : `${anchor}-${repeats}`);
  }
  for (const [, id] of text.matchAll(/<[a-z]+\s[^>]*(?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

// Blanked, not cut, so that line numbers stay.
function withoutCode(text, spans = true) {
  const blank = (code) => code.replace(/[^\n]/g, " ");
  const fenced = text.replace(/^(\s*)(```+|~~~+)[\s\S]*?^\s*\2\s*$/gm, blank);
  return spans ? fenced.replace(/(`+)[^`\n][^\n]*?\1/g, blank) : fenced;
}
