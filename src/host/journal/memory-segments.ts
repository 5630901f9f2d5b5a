/** Segments of a journal that is to end with the process: for kernels that nobody will take up. */

import type { RecordPlace, Scanned, Segment, SegmentLog } from './segment-log.js'

interface Kept extends Segment {
  bytes: number
  readonly records: { readonly place: RecordPlace; readonly payload: Buffer }[]
}

export class MemorySegments implements SegmentLog {
  readonly #now: () => number
  readonly #list: Kept[] = []
  #numbers = 0

  constructor(now: () => number) {
    this.#now = now
  }

  get segments(): readonly Segment[] {
    return this.#list
  }

  append(payload: readonly Buffer[]): RecordPlace {
    const last = this.#list.at(-1)
    if (!last) throw new Error('There is no segment to write to.')
    // Bytes of messages may be part of something much larger.
    const bytes = Buffer.concat(payload)
    const place = { segment: last.number, offset: last.bytes, end: last.bytes + bytes.length }
    last.records.push({ place, payload: bytes })
    last.bytes = place.end
    return place
  }

  begin(firstSeq: number): void {
    this.#numbers += 1
    this.#list.push({ number: this.#numbers, firstSeq, begunAt: this.#now(), bytes: 0, records: [] })
  }

  *scan(segment: number, offset = 0): Generator<{ place: RecordPlace; payload: Buffer }, Scanned> {
    const kept = this.#list.find(({ number }) => number === segment)
    for (const record of kept?.records ?? []) if (record.place.offset >= offset) yield record
    return { end: kept?.bytes ?? 0, how: 'whole' }
  }

  cut(): void {
    // Nothing is ever torn here.
  }

  drop(segment: number): void {
    const at = this.#list.findIndex(({ number }) => number === segment)
    if (at >= 0 && at < this.#list.length - 1) this.#list.splice(at, 1)
  }

  close(): void {
    this.#list.length = 0
  }
}
