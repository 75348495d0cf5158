/**
 * Loaded into a process of ours by `node --import` before its own program: on SIGUSR2 it collects garbage, all of it, so that what is measured afterwards is what
 * is held and not what was used. Nothing else of the process changes.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
// The flag adds the function to contexts made from now on.
// V8's own function, which takes and gives nothing.
const collect = runInNewContext("gc") as () => void;

process.on("SIGUSR2", () => collect());
