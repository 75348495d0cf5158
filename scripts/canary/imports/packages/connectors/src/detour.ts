export { provider as detour } from "./postgres/provider/leaf.ts";
