/** The file side of a journal: records of bytes in segments. `store/journal` has this shape. */

export interface Segment {
  readonly number: number
  /** Number of the first message that may be in it. */
  readonly firstSeq: number
  /** When it was begun, in milliseconds since the epoch. */
  readonly begunAt: number
  /** Bytes of whole records. */
  readonly bytes: number
}

/** Where a record is: offset of its first byte, and where the next one begins. */
export interface RecordPlace {
  readonly segment: number
  readonly offset: number
  readonly end: number
}

/**
 * How a segment ends: `whole`, where its last record does; `torn`, a record was not written to its end; `damaged`, what
 * stands there was not written so.
 */
export type SegmentEnd = 'whole' | 'torn' | 'damaged'

export interface SegmentLog {
  /** Oldest first; the last one is written to. */
  readonly segments: readonly Segment[]
  /** Writes a record. Throws a SavepointError `storage_failed`; then nothing of it is there. */
  append(payload: readonly Buffer[]): RecordPlace
  /** Begins another segment, to which is written from now on. Throws as `append`. */
  begin(firstSeq: number): void
  /**
   * The records of a segment from `offset` on, in order. Stops at the first that is not whole; the value that it returns
   * says where, and why. A segment that is not there has none.
   */
  scan(segment: number, offset?: number): Generator<{ place: RecordPlace; payload: Buffer }, Scanned>
  /** Takes away what comes after `offset`. Throws as `append`. */
  cut(segment: number, offset: number): void
  /** Removes a segment, not the last one. Never throws. */
  drop(segment: number): void
  close(): void
}

export interface Scanned {
  readonly end: number
  readonly how: SegmentEnd
}
