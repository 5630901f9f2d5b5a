/** Every bound of the store, with its unit in its name. */
export const storeLimits = Object.freeze({
  /** How long SQLite itself may block this process for another one's write; what is longer is waited for without blocking. */
  busyBlockMs: 10,
  /** How long a write waits for other processes in all, and the pause between its tries. */
  busyWaitMs: 5_000,
  busyPauseMsMin: 5,
  busyPauseMsMax: 60,

  /** History is written when this much time or this many rows have come together. */
  historyFlushMs: 50,
  historyFlushRows: 100,
  /** Rows that wait while the database cannot be written; the oldest are dropped beyond it. */
  historyPendingRowsMax: 10_000,
  /** Rows of one answer, and rows that are kept when history lives in memory. */
  historyAnswerRowsMax: 10_000,
  historyMemoryRowsMax: 10_000,
  /** A longer search pattern is refused: matching one costs time that grows with its stars. */
  historyPatternCharsMax: 1_000,

  manifestBytesMax: 64 * 1024 * 1024,
  labelBytesMax: 128 * 1024,
  noteCharsMax: 10_000,
  /** What is read of a checkpoint at a time, between which other work gets its turn. */
  readBytes: 1024 * 1024,
  /** Checkpoints that are being written at once by one process. */
  writingMax: 64,
  listMax: 1_000,
  /** A folder of unfinished checkpoints whose owner cannot be asked whether it lives counts as left behind after this. */
  writingSilenceMaxMs: 24 * 60 * 60 * 1000,
})
