/**
 * A kernel's state once more, from what is in its journal: the policy is a pure function of events, so the same events
 * lead to the same state. Nothing is performed; what was asked for and not answered is in the ledger.
 */

import { SavepointError } from '../../errors.js'
import type { Effect, HeldOutput, KernelEvent } from '../../kernel/effects.js'
import { revive, STATE_VERSION, type KeptState } from '../../kernel/keeping.js'
import type { KernelOptions, KernelState } from '../../kernel/state.js'
import { start, step } from '../../kernel/step.js'
import type { Placement } from '../ports.js'
import { keepAccount, keepHeld, keepPlacement, newLedger, type Ledger } from './ledger.js'
import type { JournalRecord } from './records.js'

/** A process of Python begins, and with it another state of the same kernel. */
export interface BeginBody {
  readonly version: number
  readonly options: KernelOptions
}

export interface StateBody {
  readonly kept: KeptState
  readonly ledger: Ledger
  /** Requests that have their busy and no idle yet, with the number of that message. */
  readonly running: readonly (readonly [msgId: string, seq: number])[]
}

/**
 * Up to which frame of which generation all that was printed is in messages, these included, and all that was heard
 * beside the link but for so many of the latest (`ahead`); null: these came from elsewhere.
 */
export type SaidBody = { readonly generation: number; readonly frame: number; readonly ahead?: number } | null

/** The text may be empty. `held`: what of that pipe is held back from then on, if that has changed. */
export type HeardBody = Ledger['heard'][number] & { readonly held?: HeldOutput }

/** What a kernel was when its gateway ended. */
export interface Recovered {
  readonly state: KernelState
  readonly ledger: Ledger
}

/** Whether replay may begin with such a record. */
export function isBase({ kind }: Pick<JournalRecord, 'kind'>): boolean {
  return kind === 'begin' || kind === 'state'
}

/** Takes records in order, the first one a base. */
export class Replay {
  #recovered: Recovered | null = null

  /** null: there was no base. */
  get recovered(): Recovered | null {
    return this.#recovered
  }

  /** What followed from it then. Throws `storage_failed` for what cannot be gone on with, and whatever a step throws. */
  take(record: JournalRecord): readonly Effect[] {
    if (record.kind === 'step') return this.#step(record)
    if (record.kind === 'begin') return this.#begin(record.body as BeginBody, record.now)
    this.#note(record)
    return []
  }

  #note(record: JournalRecord): void {
    switch (record.kind) {
      case 'state': {
        const { kept, ledger } = record.body as StateBody
        this.#recovered = { state: revive(kept), ledger: { ...newLedger(), ...ledger } }
        return
      }
      case 'said':
        return void (this.#recovered && noteSaid(this.#recovered, record.body as SaidBody))
      case 'heard':
        return void (this.#recovered && noteHeard(this.#recovered, record.body as HeardBody))
      case 'placed':
        return void (this.#recovered && keepPlacement(this.#recovered.ledger, record.body as Placement))
      default:
    }
  }

  #begin({ version, options }: BeginBody, now: number): readonly Effect[] {
    if (version !== STATE_VERSION) {
      throw new SavepointError('storage_failed', `The journal was written by another release (${version}).`, {
        version,
        needed: STATE_VERSION,
      })
    }
    const ledger = newLedger()
    const { state, effects } = start(options, now)
    keepAccount(ledger, state, null, effects)
    this.#recovered = { state, ledger }
    return effects
  }

  #step({ body, now, messages }: JournalRecord): readonly Effect[] {
    if (!this.#recovered) return []
    const { state, ledger } = this.#recovered
    const event = body as KernelEvent
    const effects = step(state, event, now)
    if (effects.filter(isSaid).length !== messages.length) {
      throw new SavepointError('storage_failed', 'The journal does not lead to what it says was said.', {
        event: event.on,
      })
    }
    keepAccount(ledger, state, event, effects)
    return effects
  }
}

/** The same for a host at work. */
export function noteSaid({ ledger, state }: Recovered, said: SaidBody): void {
  if (said === null) return
  ledger.heard = said.ahead === undefined ? [] : ledger.heard.slice(-said.ahead)
  if (said.generation === state.generation) ledger.frames = Math.max(ledger.frames, said.frame)
}

/** The same for a host at work. */
export function noteHeard({ ledger }: Pick<Recovered, 'ledger'>, { held, ...heard }: HeardBody): void {
  if (heard.text.length > 0) ledger.heard.push(heard)
  keepHeld(ledger, held)
}

/** It is a message to clients. */
export function isSaid(
  effect: Effect,
): effect is Extract<Effect, { do: 'publish' | 'publish_stream' | 'reply' | 'ask_client' }> {
  return (
    effect.do === 'publish' || effect.do === 'publish_stream' || effect.do === 'reply' || effect.do === 'ask_client'
  )
}
