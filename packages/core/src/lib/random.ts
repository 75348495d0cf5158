/** A source of random bytes, injected; in production always the operating system's. */
export interface Random {
  bytes(length: number): Uint8Array;
}
