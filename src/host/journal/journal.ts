/**
 * One kernel's journal: all that happened to it and all that it said, over all of its processes.
 *
 * What stands in the journal has happened, what does not has not: a record is written before anything is done of what
 * follows from it. A record holds an event of the policy together with the messages that it led to, so neither is ever
 * there without the other.
 *
 * It is bounded. Segments go from the oldest on when there is too much, but none that is needed to come back to the
 * present state: the newest `begin` or `state` and what follows it. Where it cannot be written, the kernel goes on
 * without, says so, and begins anew with a `state` as soon as that can be written.
 */

import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import type { KernelEvent } from '../../kernel/effects.js'
import { STATE_VERSION, type KeptState } from '../../kernel/keeping.js'
import type { KernelOptions } from '../../kernel/state.js'
import type { Log } from '../../log.js'
import type { Placement } from '../ports.js'
import type { JournalBudget } from './budget.js'
import type { Ledger } from './ledger.js'
import { MessageIndex } from './message-index.js'
import type { JournalMessage, MessageJournal } from './messages.js'
import {
  decodeRecord,
  encodeRecord,
  kindOf,
  messagesOf,
  seqsOf,
  type MarkedMessage,
  type RecordKind,
} from './records.js'
import {
  isBase,
  Replay,
  type BeginBody,
  type HeardBody,
  type Recovered,
  type SaidBody,
  type StateBody,
} from './replay.js'
import type { SegmentLog } from './segment-log.js'

export interface JournalLimits {
  /** Of one kernel's segments together. */
  readonly bytesMax: number
  /** A segment of this size is followed by another one. */
  readonly segmentBytes: number
  /** So much after the newest base, or so many events, a state is worth writing. */
  readonly replayBytes: number
  readonly replaySteps: number
}

export interface KernelJournalParts {
  readonly log: SegmentLog
  readonly limits: JournalLimits
  /** What all kernels may hold together. */
  readonly budget: JournalBudget
  readonly clock: Clock
  readonly report: Log
}

export class KernelJournal implements MessageJournal {
  readonly #parts: KernelJournalParts
  readonly #index: MessageIndex
  #newest: number
  #failure: SavepointError | null = null
  /** Segment of the newest base; segments before it are needed for messages alone. */
  #base = 0
  #sinceBase = { bytes: 0, steps: 0 }
  #baseBytes = 0
  #closed = false

  /** Nothing is read before `recover`. */
  constructor(parts: KernelJournalParts) {
    this.#parts = parts
    this.#index = new MessageIndex(parts.log)
    this.#newest = (parts.log.segments.at(-1)?.firstSeq ?? 1) - 1
    parts.budget.add(this)
  }

  get newest(): number {
    return this.#newest
  }

  get oldest(): number {
    return this.#parts.log.segments[0]?.firstSeq ?? 1
  }

  /** Bytes of its segments. */
  get bytes(): number {
    let sum = 0
    for (const { bytes } of this.#parts.log.segments) sum += bytes
    return sum
  }

  /** Why it is not written; null: it is. */
  get failure(): SavepointError | null {
    return this.#failure
  }

  /** Replay would take long: a state is wanted as soon as it can be had. */
  get wantsState(): boolean {
    if (this.#failure) return true
    const { replayBytes, replaySteps } = this.#parts.limits
    const { bytes, steps } = this.#sinceBase
    return steps >= replaySteps || bytes >= Math.max(replayBytes, 4 * this.#baseBytes)
  }

  /** It has been wanted for so long that something should give way. */
  get isOverdue(): boolean {
    const { replayBytes, replaySteps } = this.#parts.limits
    const { bytes, steps } = this.#sinceBase
    return steps >= 4 * replaySteps || bytes >= 4 * Math.max(replayBytes, 4 * this.#baseBytes)
  }

  /** The number of the next message; whoever takes it writes that message at once. */
  nextSeq(): number {
    this.#newest += 1
    return this.#newest
  }

  // ------------------------------------------------------------------------------------------------- what is written

  /** A process of the kernel begins; what was before cannot be come back to. */
  begin(now: number, options: KernelOptions, messages: readonly MarkedMessage[]): void {
    const body: BeginBody = { version: STATE_VERSION, options }
    this.#index.resume([])
    this.#writeBase('begin', now, body, messages)
  }

  /** An event of the policy, and what is said because of it. */
  step(now: number, event: KernelEvent, messages: readonly MarkedMessage[]): void {
    this.#sinceBase.steps += 1
    this.#write('step', now, event, messages)
  }

  /** Messages of which the policy knows nothing. */
  said(now: number, said: SaidBody, messages: readonly MarkedMessage[]): void {
    this.#write('said', now, said, messages)
  }

  /** A publication of somebody else's than a host; its number. */
  say(topic: string, frames: readonly Buffer[]): number {
    const seq = this.nextSeq()
    const message: MarkedMessage = {
      ...{ seq, channel: 'iopub', to: null, routing: [] },
      ...{ topic, frames, parent: null, mark: 'none' },
    }
    this.said(this.#parts.clock.date().getTime(), null, [message])
    return seq
  }

  /** What was printed beside the link, before it is in a message: nobody has it any more. */
  heard(now: number, heard: HeardBody): void {
    this.#write('heard', now, heard, [])
  }

  placed(now: number, placement: Placement): void {
    this.#write('placed', now, placement, [])
  }

  /** The state as it is: replay begins here. */
  state(now: number, kept: KeptState, ledger: Ledger): void {
    const body: StateBody = { kept, ledger, running: [...this.#index.running] }
    this.#writeBase('state', now, body, [])
  }

  #writeBase(kind: 'begin' | 'state', now: number, body: unknown, messages: readonly MarkedMessage[]): void {
    const { log } = this.#parts
    const failed = this.#failure
    this.#failure = null
    try {
      // What may stand half written at the end of the one before is not gone on with.
      if (failed || log.segments.length === 0) log.begin(this.#newest + 1 - messages.length)
    } catch (error) {
      this.#fail(error)
      for (const message of messages) this.#index.noteMessage(message)
      return
    }
    const place = this.#write(kind, now, body, messages)
    if (!place) return
    this.#base = place.segment
    this.#baseBytes = place.end - place.offset
    this.#sinceBase = { bytes: 0, steps: 0 }
    this.#keepWithin()
    if (failed) this.#parts.report('info', 'journal_written_again')
  }

  #write(kind: RecordKind, now: number, body: unknown, messages: readonly MarkedMessage[]) {
    if (this.#closed) return null
    if (this.#failure) {
      for (const message of messages) this.#index.noteMessage(message)
      return null
    }
    const { log, limits } = this.#parts
    try {
      if ((log.segments.at(-1)?.bytes ?? 0) >= limits.segmentBytes) this.#turn(messages.length)
      const place = log.append(encodeRecord(kind, now, body, messages))
      this.#index.note(place, messages)
      this.#sinceBase.bytes += place.end - place.offset
      return place
    } catch (error) {
      this.#fail(error)
      for (const message of messages) this.#index.noteMessage(message)
      return null
    }
  }

  #turn(messages: number): void {
    this.#parts.log.begin(this.#newest + 1 - messages)
    this.#keepWithin()
    this.#parts.budget.keep()
  }

  #fail(error: unknown): void {
    this.#failure =
      error instanceof SavepointError
        ? error
        : new SavepointError('storage_failed', `The journal could not be written: ${String(error)}`)
    const { code, message } = this.#failure
    this.#parts.report('error', 'journal_failed', { code, message })
  }

  // --------------------------------------------------------------------------------------------------- what is kept

  #keepWithin(): void {
    while (this.bytes > this.#parts.limits.bytesMax && this.droppable !== null) this.dropOldest()
  }

  /** When the oldest segment that may go was begun; null: none may. */
  get droppable(): number | null {
    const [first, second] = this.#parts.log.segments
    return first && second && first.number < this.#base ? first.begunAt : null
  }

  dropOldest(): void {
    const [first] = this.#parts.log.segments
    if (!first || this.droppable === null) return
    this.#parts.log.drop(first.number)
    this.#index.forgetSegment(first.number)
  }

  // ---------------------------------------------------------------------------------------------------- what is read

  /**
   * The kernel as it was when its gateway ended; null: it has never begun. What was not written to its end is cut off.
   *
   * Throws `storage_failed` where the journal is damaged, or was written by a release that this one cannot go on from:
   * then the kernel is to come back as after a lost worker. What is whole of the journal can be read all the same.
   */
  recover(): Recovered | null {
    const { log, report } = this.#parts
    const last = log.segments.at(-1)
    const base = this.#findBase()
    const replay = new Replay()
    let failure: unknown = null
    for (const { number } of log.segments) {
      if (base === null || number < base.segment) continue
      const records = log.scan(number)
      let next = records.next()
      for (; next.done !== true; next = records.next()) {
        const { place, payload } = next.value
        const seqs = seqsOf(payload)
        if (seqs) this.#newest = Math.max(this.#newest, seqs.first + seqs.count - 1)
        try {
          // What was said before the base in its segment counts; what was done does not, and is not even read.
          if (number === base.segment && place.offset < base.offset) {
            this.#index.note(place, [...messagesOf(payload)])
            continue
          }
          const record = decodeRecord(payload)
          if (record.kind === 'state') this.#index.resume((record.body as StateBody).running)
          else if (record.kind === 'begin') this.#index.resume([])
          this.#index.note(place, record.messages)
          this.#sinceBase.bytes += place.end - place.offset
          if (record.kind === 'step') this.#sinceBase.steps += 1
          if (failure === null) replay.take(record)
        } catch (error) {
          failure ??= error
        }
      }
      const { how, end } = next.value
      if (how === 'torn' && number === last?.number) {
        report('info', 'journal_cut', { bytes: last.bytes - end })
        log.cut(number, end)
      } else if (how !== 'whole') {
        failure ??= new SavepointError('storage_failed', `The journal is damaged in segment ${number} at byte ${end}.`)
        // Messages may have been there: their numbers are not given again.
        if (number === last?.number) this.#newest += Math.max(1, Math.ceil((last.bytes - end) / BYTES_OF_MESSAGE_MIN))
      }
    }
    this.#base = base?.segment ?? 0
    if (failure !== null) {
      // What follows begins in a segment of its own.
      this.#failure = asFailure(failure)
      throw this.#failure
    }
    return replay.recovered
  }

  #findBase(): { segment: number; offset: number } | null {
    const { log } = this.#parts
    for (const { number } of log.segments.toReversed()) {
      let found: { segment: number; offset: number } | null = null
      for (const { place, payload } of log.scan(number)) {
        const kind = kindOf(payload)
        if (kind !== null && isBase({ kind })) found = { segment: number, offset: place.offset }
      }
      if (found) return found
    }
    return null
  }

  since(seq: number, bytesMax: number): readonly JournalMessage[] {
    return this.#some(this.#index.after(seq), bytesMax)
  }

  ofParent(msgId: string, seq = 0, bytesMax = Infinity): readonly JournalMessage[] {
    return this.#some(this.#index.ofParent(msgId, seq), bytesMax)
  }

  seqOf(msgId: string): number | null {
    // Ids end with the number; the message says whether it is this one.
    const seq = Number(/_(\d+)$/.exec(msgId)?.[1] ?? 0)
    if (seq < this.oldest || seq > this.#newest) return null
    const [message] = this.since(seq - 1, 1)
    return message?.seq === seq && idOf(message) === msgId ? seq : null
  }

  running(): readonly { readonly msgId: string; readonly seq: number }[] {
    return [...this.#index.running].map(([msgId, seq]) => ({ msgId, seq }))
  }

  /** Nothing is written or read any more. */
  close(): void {
    this.#closed = true
    this.#parts.budget.remove(this)
    this.#parts.log.close()
  }

  #some(messages: Iterable<JournalMessage>, bytesMax: number): readonly JournalMessage[] {
    const some: JournalMessage[] = []
    let left = bytesMax
    for (const message of messages) {
      for (const { length } of message.frames) left -= length
      if (left < 0 && some.length > 0) break
      some.push(message)
      if (left <= 0) break
    }
    return some
  }
}

/** A message is no smaller. */
const BYTES_OF_MESSAGE_MIN = 64

function idOf({ frames }: JournalMessage): unknown {
  try {
    return (JSON.parse(String(frames[2])) as { msg_id?: unknown }).msg_id
  } catch {
    return null
  }
}

function asFailure(error: unknown): SavepointError {
  if (error instanceof SavepointError) return error
  const message = `The journal cannot be gone on from: ${error instanceof Error ? error.message : String(error)}`
  return new SavepointError('storage_failed', message, {}, { cause: error })
}
