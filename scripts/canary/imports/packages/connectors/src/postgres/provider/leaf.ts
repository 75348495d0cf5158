export const provider = "postgres provider";
