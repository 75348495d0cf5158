/** `server`, `outpost`, `dev`, `demo`, `init`: the programs of the `@cardea/server` package, which is much heavier than this one and installed beside it. */
import type { Registry } from "../program.ts";

const programs = {
  init: "the first steps with a resource of your own",
  server: "the control plane, until it is asked to stop",
  outpost: "an outpost, until it is asked to stop",
  dev: "everything on this machine, in development mode, with a sample resource and sample people",
  demo: "tell the whole cycle on the sample resource",
};

export function addServerCommands({ program, run }: Registry): void {
  for (const [name, description] of Object.entries(programs)) {
    program
      .command(name)
      .argument("[args...]", "passed on to the program")
      .allowUnknownOption()
      .helpOption(false)
      .description(description)
      .action(
        run(async (_context, args: string[]) => (await import("../actions/server.ts")).runServerProgram(name, args)),
      );
  }
}
