/** Turns samples into the few numbers that a benchmark reports. */

export interface Spread {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Percentiles by nearest rank, in the samples' own unit. @throws RangeError without samples */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = Float64Array.from(samples).sort();
  const at = (share: number): number => {
    const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
    if (value === undefined) throw new RangeError("there are no samples");
    return value;
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

export function medianOf(samples: readonly number[]): number {
  return spreadOf(samples).p50;
}

/** Three significant digits: more would claim more than two shared cores can say. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

/** `{ mintP50: …, mintP95: …, … }` with the unit at the end of each name. */
export function spreadFigures(name: string, samples: readonly number[], unit: "Ms" | "Us"): Record<string, number> {
  const { p50, p95, p99, max } = spreadOf(samples);
  return Object.fromEntries(
    Object.entries({ P50: p50, P95: p95, P99: p99, Max: max }).map(([key, value]) => [
      `${name}${key}${unit}`,
      rounded(value),
    ]),
  );
}
