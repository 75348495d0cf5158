/** The advisory locks of the database, in one place so that no two duties share a number. Any constants do; these spell `cardea`. */
export const advisoryLocks = {
  migrate: 0x63617201,
  sequencer: 0x63617202,
  policy: 0x63617203,
} as const;
