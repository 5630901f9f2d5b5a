/**
 * Where in a journal's segments the messages are: a place every so many bytes, and for each of the latest requests the
 * first and the last message that belongs to it. Segments of an earlier process are looked through when somebody asks
 * for what is in them.
 */

import { messagesOf, seqsOf, type MarkedMessage } from './records.js'
import type { JournalMessage } from './messages.js'
import type { RecordPlace, SegmentLog } from './segment-log.js'

/** So far apart are the places that are remembered. */
const STRIDE_BYTES = 65_536
/** Requests whose output is found at once, and found at all once they are no more among these. */
const PARENTS_MAX = 16_384

interface Stop {
  readonly seq: number
  readonly offset: number
}

interface Span {
  readonly first: number
  last: number
}

export class MessageIndex {
  readonly #log: SegmentLog
  /** By segment, ascending. */
  readonly #stops = new Map<number, Stop[]>()
  readonly #parents = new Map<string, Span>()
  /** Requests with a busy and no idle yet. */
  readonly #running = new Map<string, number>()
  /** Segments of an earlier process, up to this one, whose requests nobody has asked for. */
  #unread: number

  constructor(log: SegmentLog) {
    this.#log = log
    this.#unread = log.segments.at(-1)?.number ?? 0
  }

  /** With the numbers of their busy. */
  get running(): ReadonlyMap<string, number> {
    return this.#running
  }

  /** What ran when the records that follow were begun to be written. */
  resume(running: readonly (readonly [string, number])[]): void {
    this.#running.clear()
    for (const [msgId, seq] of running) this.#running.set(msgId, seq)
  }

  /** The kernel that these belonged to is gone. */
  forgetRunning(): void {
    this.#running.clear()
  }

  /** A record was written, or is met when segments are read again. */
  note(place: RecordPlace, messages: readonly MarkedMessage[]): void {
    const [first] = messages
    if (!first) return
    this.#stop(place, first.seq)
    for (const message of messages) this.noteMessage(message)
  }

  /** What is said while nothing can be written: it is looked for in vain, but what runs is known. */
  noteMessage({ parent, mark, seq }: MarkedMessage): void {
    if (parent === null) return
    if (mark === 'busy') this.#running.set(parent, seq)
    else if (mark === 'idle') this.#running.delete(parent)
    const span = this.#parents.get(parent)
    if (span) span.last = seq
    else {
      this.#parents.set(parent, { first: seq, last: seq })
      if (this.#parents.size > PARENTS_MAX) this.#parents.delete(this.#parents.keys().next().value ?? '')
    }
  }

  forgetSegment(segment: number): void {
    this.#stops.delete(segment)
  }

  /** Messages after `seq`, in order; whoever reads stops when there are enough. */
  *after(seq: number): Generator<MarkedMessage> {
    const { segments } = this.#log
    let at = segments.findLastIndex(({ firstSeq }) => firstSeq <= seq + 1)
    if (at < 0) at = 0
    for (const { number, firstSeq } of segments.slice(at)) {
      const stops = this.#stopsOf(number, firstSeq)
      const from = stops.findLast((stop) => stop.seq <= seq + 1)?.offset ?? 0
      for (const { payload } of this.#log.scan(number, from)) {
        const seqs = seqsOf(payload)
        if (seqs === null || seqs.first + seqs.count - 1 <= seq) continue
        for (const message of messagesOf(payload)) if (message.seq > seq) yield message
      }
    }
  }

  /** Messages of a request, those after `seq`. */
  *ofParent(parent: string, seq: number): Generator<JournalMessage> {
    if (!this.#parents.has(parent)) this.#readEarlier()
    const span = this.#parents.get(parent)
    if (!span) return
    for (const message of this.after(Math.max(seq, span.first - 1))) {
      if (message.seq > span.last) return
      if (message.parent === parent) yield message
    }
  }

  /** Places in a segment; it is looked through if it was written by an earlier process. */
  #stopsOf(segment: number, firstSeq: number): readonly Stop[] {
    const known = this.#stops.get(segment)
    if (known) return known
    this.#stops.set(segment, [{ seq: firstSeq, offset: 0 }])
    for (const { place, payload } of this.#log.scan(segment)) {
      const seqs = seqsOf(payload)
      if (seqs) this.#stop(place, seqs.first)
    }
    return this.#stops.get(segment) ?? []
  }

  #readEarlier(): void {
    const segments = this.#log.segments.filter(({ number }) => number <= this.#unread)
    this.#unread = 0
    const found = new Map<string, Span>()
    for (const { number } of segments) {
      for (const { payload } of this.#log.scan(number)) {
        for (const { parent, seq } of messagesOf(payload)) {
          if (parent !== null) found.set(parent, { first: found.get(parent)?.first ?? seq, last: seq })
        }
      }
    }
    const latest = [...this.#parents]
    this.#parents.clear()
    for (const [parent, span] of [...found].slice(-PARENTS_MAX)) this.#parents.set(parent, span)
    for (const [parent, span] of latest) {
      const first = this.#parents.get(parent)?.first ?? span.first
      this.#parents.delete(parent)
      this.#parents.set(parent, { first, last: span.last })
    }
  }

  #stop({ segment, offset }: RecordPlace, seq: number): void {
    const stops = this.#stops.get(segment)
    if (!stops) this.#stops.set(segment, [{ seq, offset }])
    else if (offset - (stops.at(-1)?.offset ?? 0) >= STRIDE_BYTES) stops.push({ seq, offset })
  }
}
