/** How far away an instant is, for people: `in 12 min`, `3 h ago`. */
export function relative(time: string, nowMs: number): string {
  const ms = Date.parse(time) - nowMs;
  const size = Math.abs(ms);
  const words = size < 90_000 ? `${String(Math.round(size / 1_000))} s` : size < 5_400_000 ? `${String(Math.round(size / 60_000))} min` : size < 129_600_000 ? `${String(Math.round(size / 3_600_000))} h` : `${String(Math.round(size / 86_400_000))} d`;
  return ms >= 0 ? `in ${words}` : `${words} ago`;
}
