import { detour } from "../../connectors/src/detour.ts";

export const reached = detour;
