/** How much a recorder may hold, and how long it may be behind, before a session waits or ends. Bytes and milliseconds. */
export interface RecorderLimits {
  /** What was recorded is written so long after it happened, at most, while the disk keeps up. */
  readonly batchMs: number;
  /** As much of one session is written at once, without waiting for company. */
  readonly batchBytes: number;
  /** A piece holds as much at most, before it is compressed: what comes together while the one before it is written. */
  readonly pieceBytes: number;
  /** With more of a session that is not on the disk yet, its client waits. */
  readonly pauseBytes: number;
  /** With more than this the session ends, whatever it waits for. */
  readonly memoryBytes: number;
  /** After so long without an answer of the disk, sessions that have something to record end. */
  readonly behindMs: number;
  /** With more of a session that the control plane does not have yet, its client waits, as long as the link takes something. */
  readonly backlogBytes: number;
  /** With more than this the session ends, and no other has to. */
  readonly sessionBytes: number;
  /** On the disk at the outpost, of all sessions; with more every session ends. */
  readonly spoolBytes: number;
  /** Left free on the disk for everything else that must be remembered. */
  readonly reserveBytes: number;
  /** One file of the spool. */
  readonly segmentBytes: number;
  /** Recorded of the input of one action where the resource's configuration does not ask for all of it. */
  readonly inputBytes: number;
}

export const defaultRecorderLimits: RecorderLimits = {
  batchMs: 1_000,
  batchBytes: 64 * 1024,
  pieceBytes: 1024 * 1024,
  pauseBytes: 4 * 1024 * 1024,
  memoryBytes: 32 * 1024 * 1024,
  behindMs: 5_000,
  backlogBytes: 32 * 1024 * 1024,
  sessionBytes: 256 * 1024 * 1024,
  spoolBytes: 2 * 1024 * 1024 * 1024,
  reserveBytes: 64 * 1024 * 1024,
  segmentBytes: 8 * 1024 * 1024,
  inputBytes: 1024 * 1024,
};
