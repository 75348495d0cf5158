// The lint rules of this house that no published plugin has. eslint.config.js loads them under `house/`.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

// The version is this file's own hash, because the lint cache asks by version whether a plugin has changed.
const version = createHash("sha256")
  .update(readFileSync(import.meta.filename))
  .digest("hex");

/** Words that name a file by its shape or by nothing. A file is named after the concept it holds. */
const nothingNames = new Set(["utils", "util", "types", "helpers", "helper", "common", "shared", "misc", "index"]);

/** Files and folders are kebab-case and named after what they hold; a barrel has no name to have. */
const fileNames = {
  meta: {
    type: "problem",
    schema: [],
    messages: {
      nothing: "`{{name}}` says nothing about what is inside: name the file or folder after the concept",
      kebab: "`{{name}}` is not kebab-case",
    },
  },
  create(context) {
    return {
      Program(node) {
        const path = context.filename.slice(context.cwd.length + 1).split(/[\\/]/);
        for (const part of path) {
          const name = part.replace(/^\./, "").split(".")[0];
          if (nothingNames.has(name)) context.report({ node, messageId: "nothing", data: { name: part } });
          else if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name))
            context.report({ node, messageId: "kebab", data: { name: part } });
        }
      },
    };
  },
};

/** Every `as`, except `as const`, has a comment on its line or above the statement that says why it holds. */
const castReason = {
  meta: {
    type: "problem",
    schema: [],
    messages: { reason: "say in a comment beside or above why this cast holds" },
  },
  create(context) {
    const { sourceCode } = context;
    const isConst = (node) =>
      node.typeAnnotation.type === "TSTypeReference" && node.typeAnnotation.typeName.name === "const";
    const statementOf = (node) => {
      let at = node;
      while (at.parent && !/(Statement|Declaration|PropertyDefinition|MethodDefinition)$/.test(at.type)) at = at.parent;
      return at;
    };
    return {
      TSAsExpression(node) {
        if (isConst(node)) return;
        const statement = statementOf(node);
        const explained = sourceCode.getAllComments().some((comment) => {
          const onTheWay = comment.range[0] >= statement.range[0] && comment.range[1] <= node.range[0];
          const beside = comment.loc.start.line >= node.loc.start.line && comment.loc.start.line <= node.loc.end.line;
          const above =
            comment.loc.end.line === statement.loc.start.line - 1 || comment.loc.end.line === node.loc.start.line - 1;
          return onTheWay || beside || above;
        });
        if (!explained) context.report({ node, messageId: "reason" });
      },
    };
  },
};

/** `eslint-disable` says why, after ` -- `. */
const disableReason = {
  meta: {
    type: "problem",
    schema: [],
    messages: { reason: "say why after ` -- `" },
  },
  create(context) {
    return {
      Program() {
        for (const comment of context.sourceCode.getAllComments()) {
          const directive = comment.value.trim();
          if (!directive.startsWith("eslint-disable") && !directive.startsWith("@ts-expect-error")) continue;
          if (directive.startsWith("eslint-disable") && / -- \S/.test(directive)) continue;
          if (directive.startsWith("@ts-expect-error") && directive.length > "@ts-expect-error".length + 5) continue;
          context.report({ loc: comment.loc, messageId: "reason" });
        }
      },
    };
  },
};

export const houseRules = {
  meta: { name: "house", version },
  rules: { "file-names": fileNames, "cast-reason": castReason, "disable-reason": disableReason },
};
