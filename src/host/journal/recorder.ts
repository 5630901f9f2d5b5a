/**
 * Takes events for a host that has a journal: the policy's step, then the record, and only then is anything done.
 *
 * Of what a worker prints and displays the policy keeps nothing. Such events are no steps in the journal: text waits to
 * be merged, and is the worker's until the message is written.
 */

import type { Clock } from '../../clock.js'
import type { Effect, KernelEvent } from '../../kernel/effects.js'
import { keep } from '../../kernel/keeping.js'
import type { KernelOptions } from '../../kernel/state.js'
import { step } from '../../kernel/step.js'
import type { Outlet, Sealed } from '../outlet.js'
import type { Placement, WorkerPort } from '../ports.js'
import type { KernelJournal } from './journal.js'
import { keepAccount, keepPlacement, type KeptCommand } from './ledger.js'
import { isSaid, noteHeard, noteSaid, type Recovered, type SaidBody } from './replay.js'
import type { MarkedMessage } from './records.js'

export interface Taken {
  readonly effects: readonly Effect[]
  /** For the messages and for the commands among them, in the same order. */
  readonly messages: readonly Sealed[]
  readonly commands: readonly KeptCommand[]
}

const NOTHING: Taken = { effects: [], messages: [], commands: [] }

type FromWorker = Extract<KernelEvent, { on: 'worker' }>
type FromPipe = Extract<KernelEvent, { on: 'output' }>

export interface RecorderParts extends Recovered {
  readonly journal: KernelJournal
  readonly outlet: Outlet
  readonly workers: Pick<WorkerPort, 'durable'>
  readonly clock: Clock
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** How long a journal that could not be written is let be. */
const RETRY_MS = 1_000

export class Recorder {
  readonly #parts: RecorderParts
  /** The latest frame whose text waits to be merged. */
  #text: { generation: number; frame: number } | null = null
  /** The latest of what was heard is in the journal, and not among the text that is gathered. */
  #isAhead = false
  /** Automatic checkpoints are held, so that a state can be written. */
  #holds = false
  #cancelRetry: (() => void) | null = null

  constructor(parts: RecorderParts) {
    this.#parts = parts
  }

  /** The kernel begins. */
  begin(options: KernelOptions, effects: readonly Effect[]): Taken {
    const { journal, outlet, ledger, state, now } = this.#parts
    const messages = outlet.sealAll(effects)
    const commands = keepAccount(ledger, state, null, effects)
    journal.begin(now(), options, messages)
    return { effects, messages, commands }
  }

  take(event: KernelEvent): Taken {
    const { journal, outlet, ledger, state } = this.#parts
    const now = this.#parts.now()
    if (event.on === 'output' && event.text.length === 0) {
      this.#hear(event, state.latestParent)
      return NOTHING
    }
    const text = textOf(event)
    // Frames are in the journal in their order.
    if (event.on === 'worker' && text === null) {
      outlet.flushText()
      this.#text = null
    }
    const { generation } = state
    const effects = step(state, event, now)
    const [first] = effects
    const isOfText = event.on === 'worker' || event.on === 'output'
    if (text !== null && isOfText && effects.length === 1 && first?.do === 'publish_stream' && first.text === text) {
      this.#gather(event, first)
      return NOTHING
    }
    if (event.on === 'worker') {
      // Of a worker that was given up.
      if (effects.length === 0 && event.generation !== generation) return NOTHING
      const { kind } = event.event
      if (kind === 'publish' && event.event.comm_id === undefined && effects.length === 1 && first?.do === 'publish') {
        return this.#show(event, effects)
      }
    }
    if (effects.some(isSaid)) outlet.flushText()
    const messages = outlet.sealAll(effects)
    const commands = keepAccount(ledger, state, event, effects)
    journal.step(now, event, messages)
    if (event.on === 'worker') this.#durable(event)
    return { effects, messages, commands }
  }

  /** Merged text goes out. */
  said(message: MarkedMessage): void {
    const { state, ledger, workers } = this.#parts
    const text = this.#text ?? { generation: state.generation, frame: ledger.frames }
    this.#text = null
    this.#write(this.#isAhead ? { ...text, ahead: 1 } : text, [message])
    workers.durable?.(text.generation, text.frame)
  }

  placed(placement: Placement): void {
    const { ledger, journal, now } = this.#parts
    keepPlacement(ledger, placement)
    journal.placed(now(), placement)
  }

  /** What was printed beside the link and is in no message, after the kernel was taken up. */
  sayHeard(): void {
    const { ledger, outlet } = this.#parts
    for (const heard of [...ledger.heard]) outlet.addText({ do: 'publish_stream', ...heard })
    outlet.flushText()
  }

  /** Called between two events: writes the state where that is due. What it gives is to be taken as the next event. */
  rest(): KernelEvent | null {
    const { journal } = this.#parts
    if (journal.failure) {
      this.#retryLater()
      return null
    }
    // It may have been written by a retry.
    if (!journal.wantsState) return this.#hold(false)
    if (this.keepState()) return this.#hold(false)
    return journal.isOverdue ? this.#hold(true) : null
  }

  /** Writes the state if that can be done now; false: somebody is in the middle of something. */
  keepState(): boolean {
    const { state, ledger, journal, now } = this.#parts
    const kept = keep(state)
    if (kept) journal.state(now(), kept, ledger)
    return kept !== null && journal.failure === null
  }

  /** The host has ended. */
  close(): void {
    this.#cancelRetry?.()
    this.#cancelRetry = null
  }

  #hold(held: boolean): KernelEvent | null {
    if (this.#holds === held) return null
    this.#holds = held
    return { on: 'hold_checkpoints', held }
  }

  /** Clients are told once, and it is tried again until it can be written. */
  #retryLater(): void {
    const { journal, clock, outlet, state } = this.#parts
    if (this.#cancelRetry) return
    const text = `The journal of this kernel cannot be written: ${journal.failure?.message ?? ''} Until it can, what runs does not survive a restart of the gateway.\n`
    const retry = (): void => {
      if (state.phase !== 'dead' && !this.keepState()) this.#cancelRetry = clock.after(RETRY_MS, retry)
      else this.#cancelRetry = null
    }
    this.#cancelRetry = clock.after(RETRY_MS, retry)
    outlet.addText({
      do: 'publish_stream',
      name: 'stderr',
      parentBytes: state.latestParent,
      text: Buffer.from(JSON.stringify(text).slice(1, -1)),
    })
  }

  #gather(event: FromWorker | FromPipe, effect: Extract<Effect, { do: 'publish_stream' }>): void {
    const { outlet } = this.#parts
    // First of all: until then it is nowhere but here.
    if (event.on === 'output') this.#hear(event, effect.parentBytes)
    // What is said now does not hold this text yet.
    this.#isAhead = event.on === 'output'
    outlet.makeWay(effect)
    this.#isAhead = false
    if (event.on === 'worker') {
      if (event.frame !== undefined) this.#text = { generation: event.generation, frame: event.frame }
    }
    outlet.addText(effect)
  }

  #hear({ name, text, held }: FromPipe, parentBytes: Buffer): void {
    const { ledger, journal, now } = this.#parts
    const heard = { name, parentBytes, text, ...(held ? { held } : {}) }
    noteHeard({ ledger }, heard)
    journal.heard(now(), heard)
  }

  #show(event: FromWorker, effects: readonly Effect[]): Taken {
    const messages = this.#parts.outlet.sealAll(effects)
    const { generation, frame = this.#parts.ledger.frames } = event
    this.#write({ generation, frame }, messages)
    this.#durable(event)
    return { effects, messages, commands: [] }
  }

  #write(said: NonNullable<SaidBody>, messages: readonly MarkedMessage[]): void {
    const { journal, now } = this.#parts
    journal.said(now(), said, messages)
    noteSaid(this.#parts, said)
  }

  #durable({ generation, frame }: FromWorker): void {
    if (frame !== undefined) this.#parts.workers.durable?.(generation, frame)
  }
}

/** What was printed, if that is what happened. */
function textOf(event: KernelEvent): Buffer | null {
  if (event.on === 'output') return event.text
  return event.on === 'worker' && event.event.kind === 'stream' ? (event.parts[0] ?? null) : null
}
