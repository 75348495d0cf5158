/**
 * `npm run bench -- NAME`. A benchmark is a file beside this one that measures us beside a peer in one run; it
 * exports `run` and has a row in the catalog.
 */
import { runExercise } from "@cardea/testing/exercise";
import { catalog } from "./catalog.ts";

process.exitCode = await runExercise("bench", catalog, process.argv.slice(2));
