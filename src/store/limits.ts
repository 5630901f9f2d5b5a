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
  /** How often a database that could not be used is tried again. */
  historyRetryMs: 1_000,
  /** A longer search pattern is refused: matching one costs time that grows with its stars. */
  historyPatternCharsMax: 1_000,

  manifestBytesMax: 64 * 1024 * 1024,
  /** Of a manifest of the second format: its root is small whatever the number of variables. */
  rootBytesMax: 4 * 1024 * 1024,
  labelBytesMax: 128 * 1024,
  noteCharsMax: 10_000,
  /** What is read of a checkpoint at a time, between which other work gets its turn. */
  readBytes: 1024 * 1024,
  /** Raw bytes of a chunk; a larger one is damage, so that no chunk unpacks to more. */
  chunkBytesMax: 256 * 1024,
  /** Bytes of a chunk in its pack: packing may make it a little longer. */
  storedBytesMax: 512 * 1024,
  /** Levels of lists of chunks below a reference: three of 2048 digests each reach beyond 2 PB. */
  listDepthMax: 4,
  /** Bytes of the list of variables of one checkpoint, and of a line of it. */
  variablesBytesMax: 2 * 1024 * 1024 * 1024,
  lineBytesMax: 256 * 1024 * 1024,
  /** Chunks that are looked up, taken up or swept in one transaction: a few milliseconds. */
  chunksAtOnce: 1_000,
  /** Digests that are told to a writer at a time. */
  knownAtOnce: 5_000,
  /** Packs that one reader keeps open. */
  openPacksMax: 16,
  /** How often a checkpoint's chunks are looked up anew because a collection ran in between. */
  sealTriesMax: 5,
  /** Checkpoints that one process reads whole at once (to validate, export, import, collect), and that wait for it. */
  readingMax: 2,
  readingWaitMax: 64,
  /** How long after a removal garbage is collected, and how long a collection keeps others from it. */
  collectDelayMs: 30_000,
  collectLeaseMs: 10 * 60 * 1000,
  /** How long a pack without chunks stays, for those who were told to read it. */
  packGraceMs: 10 * 60 * 1000,
  /** A pack of which more than half is garbage is rewritten, if that is worth so many bytes. */
  packWasteBytes: 64 * 1024,
  /** Packs below the size are put together, as soon as there are so many, into larger ones. */
  smallPackBytes: 1024 * 1024,
  smallPacksMax: 64,
  mergedPackBytes: 64 * 1024 * 1024,
  /** Exports that are sent at once, and bytes of an import. */
  exportingMax: 16,
  importBytesMax: 64 * 1024 * 1024 * 1024,
  /** Variables of one list of an answer, and characters of the cells of a diff; what is more is counted. */
  objectsMax: 100_000,
  diffCodeCharsMax: 1_000_000,
  /** Damages that one validation tells, and names in one of them. */
  damagesMax: 1_000,
  damagedNamesMax: 100,
  /** Checkpoints that are being written at once by one process. */
  writingMax: 64,
  listMax: 1_000,
  /** A folder of unfinished checkpoints whose owner cannot be asked whether it lives counts as left behind after this. */
  writingSilenceMaxMs: 24 * 60 * 60 * 1000,
})
