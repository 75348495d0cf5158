/**
 * The server's programs: `dev` (everything on one machine), `server` (the control plane), `outpost`, `demo` and `init`. Each is
 * a file of its own; this one reads the name, and turns what goes wrong into a line and an exit code.
 */
import { CardeaError, errors } from "@cardea/core/contract/errors";

const programs: Readonly<Record<string, () => Promise<{ main: (args: readonly string[]) => Promise<number> }>>> = {
  dev: () => import("./dev/dev.ts"),
  server: () => import("./programs/server.ts"),
  outpost: () => import("./programs/outpost.ts"),
  demo: () => import("./demo/demo.ts"),
  init: () => import("./init/init.ts"),
};

async function run([name, ...args]: readonly string[]): Promise<number> {
  const load = programs[name ?? ""];
  if (load === undefined) {
    process.stderr.write(`cardea: \`${name ?? ""}\` is no program; there are ${Object.keys(programs).join(", ")}\n`);
    return 2;
  }
  const { main } = await load();
  return main(args);
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (error instanceof CardeaError) {
    process.stderr.write(`cardea: ${error.message}\n`);
    process.exitCode = errors[error.code].exit;
  } else {
    process.stderr.write(
      `cardea: internal fault: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exitCode = 1;
  }
}
// The channel to a supervisor would keep the process alive.
if (process.connected) process.disconnect();
