/** What a timer of Node can be set to: 24 days. A longer one would fire at once. */
export const maxTimerMs = 2 ** 31 - 1;
