const seconds = 1_000;
const minutes = 60 * seconds;
const hours = 60 * minutes;
const days = 24 * hours;

/** How far away an instant is, for people: `in 12 min`, `3 h ago`. */
export function relative(time: string, nowMs: number): string {
  const ms = Date.parse(time) - nowMs;
  const words = size(Math.abs(ms));
  return ms >= 0 ? `in ${words}` : `${words} ago`;
}

function size(ms: number): string {
  if (ms < 90 * seconds) return `${Math.round(ms / seconds)} s`;
  if (ms < 90 * minutes) return `${Math.round(ms / minutes)} min`;
  if (ms < 36 * hours) return `${Math.round(ms / hours)} h`;
  return `${Math.round(ms / days)} d`;
}
