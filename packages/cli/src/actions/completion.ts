/**
 * Completing command lines. The scripts hand over the words typed so far, the last one unfinished; candidates come from the tree of commands
 * itself and, for names and ids, from the control plane, which has a moment to answer and whose silence only means fewer candidates.
 */
import type { Command, Option } from "commander";
import type { Context } from "../context.ts";

/** How long a person who pressed Tab is kept waiting for names. */
const patienceMs = 1_500;

/** A word and, for shells that show it, what it is. */
interface Candidate {
  readonly word: string;
  readonly about: string;
}

// bash takes COMP_WORDBREAKS apart at colons, so a candidate loses what stands before one.
const scripts = {
  bash: `# cardea completions for bash. Use: source <(cardea completion bash)
_cardea_complete() {
  local current="\${COMP_WORDS[COMP_CWORD]}" line words=("\${COMP_WORDS[@]:1:COMP_CWORD-1}")
  COMPREPLY=()
  while IFS=$'\\t' read -r line _; do
    [[ "$line" == "$current"* ]] && COMPREPLY+=("$line")
  done < <(cardea __complete -- "\${words[@]}" "$current" 2>/dev/null)
  if [[ \${#COMPREPLY[@]} -eq 0 ]]; then compopt -o default 2>/dev/null; fi
}
complete -F _cardea_complete cardea
`,
  zsh: `#compdef cardea
# cardea completions for zsh. Use: source <(cardea completion zsh)
_cardea() {
  local -a found
  local word about
  while IFS=$'\\t' read -r word about; do
    found+=("\${word//:/\\\\:}:\${about}")
  done < <(cardea __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe cardea found; else _files; fi
}
compdef _cardea cardea
`,
  fish: `# cardea completions for fish. Use: cardea completion fish | source
function __cardea_complete
  set -l words (commandline -opc) (commandline -ct)
  cardea __complete -- $words[2..] 2>/dev/null
end
complete -c cardea -a '(__cardea_complete)'
`,
} as const;

export function completionScript({ terminal }: Context, shell: keyof typeof scripts): Promise<void> {
  terminal.result({ shell, script: scripts[shell] }, scripts[shell].trimEnd());
  return Promise.resolve();
}

/** Prints the candidates for the last word, one a line with its description behind a tab. */
export async function complete(context: Context, program: Command, words: readonly string[]): Promise<void> {
  const current = words.at(-1) ?? "";
  const found = await candidates(context, program, words.slice(0, -1), current);
  const fitting = found.filter(({ word }) => word.startsWith(current));
  if (fitting.length > 0)
    context.terminal.result(
      fitting,
      fitting.map(({ word, about }) => `${word}\t${about.replace(/\s+/g, " ")}`).join("\n"),
    );
}

async function candidates(
  context: Context,
  program: Command,
  before: readonly string[],
  current: string,
): Promise<readonly Candidate[]> {
  const { command, operands, open } = walk(program, before);
  // Behind `--` stands somebody else's command line.
  if (before.includes("--")) return [];
  if (open !== undefined) return valuesOf(context, open.attributeName(), open.argChoices, before);
  if (current.startsWith("-")) return optionsOf(command, program);
  const subcommands = command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== "help");
  if (subcommands.length > 0 && operands === 0)
    return subcommands.map((one) => ({ word: one.name(), about: one.description() }));
  const argument =
    command.registeredArguments[operands] ?? command.registeredArguments.findLast(({ variadic }) => variadic);
  if (argument === undefined) return [];
  return valuesOf(context, argument.name(), argument.argChoices, before, command.name());
}

/** Where in the tree the words lead: the command, how many operands it has, and an option that still wants its value. */
function walk(
  program: Command,
  words: readonly string[],
): { readonly command: Command; readonly operands: number; readonly open: Option | undefined } {
  let [command, operands]: [Command, number] = [program, 0];
  let open: Option | undefined;
  for (const word of words) {
    if (open !== undefined) {
      open = undefined;
      continue;
    }
    if (word.startsWith("-")) {
      const option = [...command.options, ...program.options].find(
        ({ long, short }) => long === word || short === word,
      );
      open = option?.required === true ? option : undefined;
      continue;
    }
    const sub = operands === 0 ? command.commands.find((one) => one.name() === word) : undefined;
    if (sub === undefined) operands += 1;
    else command = sub;
  }
  return { command, operands, open };
}

function optionsOf(command: Command, program: Command): Candidate[] {
  const own = command === program ? [] : command.options;
  return [...own, ...program.options]
    .filter(({ hidden }) => !hidden)
    .map(({ long, short, description }) => ({ word: long ?? short ?? "", about: description }));
}

/** What may stand for an argument or option of this name. */
async function valuesOf(
  context: Context,
  name: string,
  choices: readonly string[] | undefined,
  before: readonly string[],
  command = "",
): Promise<readonly Candidate[]> {
  if (choices !== undefined) return choices.map((word) => ({ word, about: "" }));
  const ask = sources[name];
  if (ask === undefined) return [];
  const signal = AbortSignal.timeout(patienceMs);
  const late = new Promise<readonly Candidate[]>((resolve) => signal.addEventListener("abort", () => resolve([])));
  // `--as NAME` may stand before the word, and `program.opts()` does not know it, because these words were never parsed.
  const as = before[before.indexOf("--as") + 1];
  const acting = before.includes("--as") && as !== undefined ? await actingAs(context, as) : context;
  const found = await Promise.race([ask(acting, command).catch((): readonly Candidate[] => []), late]);
  return found;
}

async function actingAs(context: Context, as: string): Promise<Context> {
  const { newContext } = await import("../context.ts");
  return newContext({ as, ...(context.url !== undefined && { url: context.url }) }, context);
}

/** Commands that only make sense for a request that waits for a vote, or for one's own. */
const requestViews: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  approve: { view: "to-approve" },
  deny: { view: "to-approve" },
  withdraw: { view: "mine", state: "pending" },
  key: { view: "mine" },
  result: { view: "mine" },
};

const sources: Readonly<Record<string, (context: Context, command: string) => Promise<readonly Candidate[]>>> = {
  resource: resourceNames,
  session: async (context) => {
    const { items } = await (await context.client()).sessions({ limit: 50, state: "open" });
    return items.map(({ id, requester, resource, sourceIp = "?" }) => ({
      word: id,
      about: `${requester.name} on ${resource}, from ${sourceIp}`,
    }));
  },
  role: () => Promise.resolve([]),
  run: async (context) => {
    const { items } = await (await context.client()).runs({ limit: 50, state: "unknown" });
    return items.map(({ id, requester, resource, action }) => ({
      word: id,
      about: `${requester.name}, ${action} on ${resource}`,
    }));
  },
  request: async (context, command) => {
    const { items } = await (await context.client()).requests({ limit: 50, ...requestViews[command] });
    return items.map(({ id, state, requester, document }) => ({
      word: id,
      about: `${state}, ${requester.name} on ${document.asked.resource}: ${document.asked.justification}`,
    }));
  },
  grant: async (context, command) => {
    const { items } = await (
      await context.client()
    ).grants({ limit: 50, view: command === "revoke" ? "live" : command === "review" ? "to-review" : "mine" });
    return items
      .filter(({ state }) => command === "review" || (state !== "ended" && state !== "failed"))
      .map(({ id, state, resource, role }) => ({ word: id, about: `${state}, ${role ?? "an action"} on ${resource}` }));
  },
};

async function resourceNames(context: Context): Promise<readonly Candidate[]> {
  const { items } = await (await context.client()).resources({ limit: 200 });
  return items.map(({ name, kind, state }) => ({ word: name, about: `${kind}, ${state}` }));
}
