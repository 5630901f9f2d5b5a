/** What is said of frozen copies: the right to make one, why it is woken, and what that could not bring back. */

/** Permission to freeze a copy: its id, and the token with which it will dial in when it is woken. */
export interface SnapshotPermit {
  readonly snapshot: string
  readonly token: string
  /** `objects`: copy what the variables hold instead of the process; `auto`: if the process cannot be copied. */
  readonly engine?: 'auto' | 'objects'
  /** From here on note what is done outside of the process, for a later rollback to here. */
  readonly record?: Recording
  /** It may become another kernel's: its process is no child of the worker's, but of the zygote. */
  readonly apart?: boolean
}

/** How what is done outside of the process is noted. */
export interface Recording extends RecordingBounds {
  /** Which recording it is: `effects` ends the one of its number, and a permit of another number begins one. */
  readonly recording: number
}

export interface RecordingBounds {
  /** The largest file that is copied before it is changed. */
  readonly file_bytes_max: number
  /** All copies of one transaction. */
  readonly bytes_max: number
  /** A rollback ends the processes that were started since. */
  readonly end_processes: boolean
}

/** What came of a transaction outside of the process. */
export interface ExternalEffect {
  readonly kind: 'file_written' | 'file_removed' | 'process_started' | 'socket_opened' | 'database'
  readonly target: string
  readonly restored: boolean
}

/** What the cell's own process could not carry over by itself: why a `with` block was left. */
export interface RollbackReason {
  readonly reason: 'error' | 'requested' | 'interrupt' | 'timeout' | 'worker_died'
  readonly ename?: string
  readonly evalue?: string
  readonly traceback?: readonly string[]
}

/**
 * How a copy comes back: it takes the worker's place itself (`child`), or hands its variables to a fresh worker, since
 * some library would hang in it (`transplant`); or it is no process, and the worker puts it back in place (`objects`).
 */
export type SnapshotMode = 'child' | 'transplant' | 'objects'
