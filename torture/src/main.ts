/**
 * `npm run torture -- NAME`. A torture run is a file beside this one that crashes, fuzzes or attacks for a while; it
 * exports `run` and has a row in the catalog.
 */
import { runExercise } from "@cardea/testing/exercise";
import { catalog } from "./catalog.ts";

process.exitCode = await runExercise("torture", catalog, process.argv.slice(2));
