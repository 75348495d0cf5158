// expect +1: @typescript-eslint/no-explicit-any
export function anything(value: any): void {
  // expect +1: @typescript-eslint/no-unsafe-call
  value.call();
}

export function certain(value: string | undefined): string {
  // expect +1: @typescript-eslint/no-non-null-assertion
  return value!;
}

export async function later(): Promise<void> {
  await Promise.resolve();
}

export function lost(): void {
  // expect +1: @typescript-eslint/no-floating-promises
  later();
}

export function waved(): void {
  // expect +1: @typescript-eslint/no-floating-promises
  void later();
}

export function half(state: "open" | "closed"): number {
  // expect +1: @typescript-eslint/switch-exhaustiveness-check
  switch (state) {
    case "open":
      return 1;
  }
  return 0;
}

// expect +2: house/cast-reason
export function cast(value: unknown): string {
  return value as string;
}

export function explained(value: unknown): string {
  return value as string; // the caller has checked it
}

export function thrown(): never {
  // expect +1: @typescript-eslint/only-throw-error
  throw "text";
}

export function printed(): void {
  // expect +1: no-console
  console.log("out");
}
