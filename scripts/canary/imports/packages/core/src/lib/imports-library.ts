import type { Logger } from "pino";

export type Library = Logger;
