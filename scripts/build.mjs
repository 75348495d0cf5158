// `npm run build`: everything that the other commands need, nothing run.
import { prepare } from "./prepare.mjs";

prepare("everything");
