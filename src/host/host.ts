/**
 * One kernel at work: events in, effects out. The imperative shell around `kernel/step`.
 *
 * Of the effects of one event, those for the worker come first: it sets to work while clients are still being told.
 * What they bring about comes back as later events, so that nothing can overtake what clients are told now.
 *
 * Invariant: events are stepped one at a time, in the order in which they were delivered; what performing an effect
 * brings about waits until all effects of its event are done.
 */

import type { Clock } from '../clock.js'
import { SavepointError, unreachable } from '../errors.js'
import type { Counted, Effect, KernelEvent, OpOutcome, StoreCall, StoreOutcome } from '../kernel/effects.js'
import { factsOf, type KernelFacts } from '../kernel/facts.js'
import type { KernelOptions, KernelState } from '../kernel/state.js'
import { start, step } from '../kernel/step.js'
import type { Log } from '../log.js'
import { seal } from '../wire/codec.js'
import { EMPTY_OBJECT, type OutgoingMessage } from '../wire/message.js'
import type { Signer } from '../wire/signature.js'
import { Pacer, type PacerLimits } from './pacer.js'
import { storeCall } from './store-calls.js'
import type { ClientPort, ForksPort, StorePort, UsagePort, WorkerPort } from './ports.js'

export interface HostParts {
  readonly options: KernelOptions
  readonly clients: ClientPort
  readonly workers: WorkerPort
  readonly store: StorePort
  readonly usage: UsagePort
  readonly signer: Signer
  readonly clock: Clock
  readonly log: Log
  readonly pacing: PacerLimits
  /** How long what is told at the beginning of a request waits for what follows. */
  readonly holdMs: number
  /** Makes kernels of copies of this one; absent: it cannot be forked. */
  readonly forks?: ForksPort
  /** What became of an `op` event. */
  readonly onAnswer?: (id: string, outcome: OpOutcome) => void
  readonly onCount?: (what: Counted) => void
  /** The kernel has ended; everything that it had to say was handed to `clients`. */
  readonly onExit: (code: number) => void
}

const FOR_WORKERS: ReadonlySet<Effect['do']> = new Set([
  'command',
  'interrupt_worker',
  'fork',
  'wake',
  'copy',
  'become',
  'kill',
  'discard',
  'stop_workers',
])

export class Host {
  readonly #parts: HostParts
  readonly #pacer: Pacer
  readonly #state: KernelState
  readonly #events: KernelEvent[] = []
  /** Publications that wait for what follows. */
  readonly #held: { readonly topic: string; readonly frames: readonly Buffer[] }[] = []
  #cancelHold: (() => void) | null = null
  readonly #deadlines = new Map<string, () => void>()
  /** Difference between the monotonic clock and milliseconds since the epoch. */
  readonly #epoch: number
  #stepping = false
  /** Something has gone out to clients since the event in hand. */
  #speaking = false
  #messages = 0

  constructor(parts: HostParts) {
    this.#parts = parts
    this.#epoch = parts.clock.date().getTime() - parts.clock.now()
    this.#pacer = new Pacer(parts.clock, parts.pacing, (parentBytes, contentBytes) => {
      this.#send('stream', { type: 'stream', parentBytes, metadataBytes: EMPTY_OBJECT, contentBytes, buffers: [] })
    })
    const { state, effects } = start(parts.options, this.#now())
    this.#state = state
    for (const effect of effects) this.#attempt(effect)
  }

  /** Takes an event of any source. */
  deliver(event: KernelEvent): void {
    this.#events.push(event)
    if (this.#stepping) return
    this.#stepping = true
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) {
        const effects = step(this.#state, next, this.#now())
        this.#speaking = false
        for (const effect of effects) if (FOR_WORKERS.has(effect.do)) this.#attempt(effect)
        for (const effect of effects) if (!FOR_WORKERS.has(effect.do)) this.#attempt(effect)
      }
    } finally {
      this.#stepping = false
    }
  }

  /** How the kernel is now. */
  get facts(): KernelFacts {
    return factsOf(this.#state)
  }

  #now(): number {
    return this.#epoch + this.#parts.clock.now()
  }

  /** One effect that cannot be performed must not take those behind it along; whoever waits for it has a deadline. */
  #attempt(effect: Effect): void {
    try {
      this.#perform(effect)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#parts.log('error', 'effect_failed', { effect: effect.do, message })
    }
  }

  #perform(effect: Effect): void {
    const { clients, workers, store, clock, log } = this.#parts
    switch (effect.do) {
      case 'publish':
        this.#pacer.flush()
        // Once something goes out, what else there is to say costs least if it goes along.
        if (effect.soon && !this.#speaking) return this.#hold(effect.topic, effect.message)
        return this.#send(effect.topic, effect.message)
      case 'publish_stream':
        return this.#pacer.add(effect.name, effect.parentBytes, effect.text, effect.flushed)
      case 'reply':
        // On another socket: nobody can rely on the order between the two, but output that came first goes first.
        this.#flush()
        this.#speaking = true
        return clients.reply(effect.channel, effect.client, this.#seal(effect.message))
      case 'answer':
        return this.#parts.onAnswer?.(effect.id, effect.outcome)
      case 'ask_client':
        this.#flush()
        return clients.reply('stdin', effect.client, this.#seal(effect.message, effect.messageId))
      case 'command':
        return workers.command(effect.command, effect.parts)
      case 'interrupt_worker':
        return workers.interrupt(effect.pid, effect.seq)
      case 'call_debugger':
        return workers.callDebugger(effect.pid, effect.token)
      case 'tell_debugger':
        return workers.tellDebugger(effect.command, effect.parts)
      case 'dismiss_debugger':
        return workers.dismissDebugger()
      case 'start_zygote':
        return workers.awaken()
      case 'nudge_worker':
        return workers.nudge(effect.pid)
      case 'fork':
        return workers.fork(effect.token, this.#state.generation)
      case 'wake':
        return workers.wake(effect.snapshot, this.#state.worker?.token ?? '', this.#state.generation)
      case 'copy':
        return workers.copy(effect.snapshot, effect.name)
      case 'become':
        return workers.become(effect.snapshot, this.#state.worker?.token ?? '', this.#state.generation)
      case 'make_kernels': {
        const { id, copies, facts } = effect
        const made = this.#parts.forks?.make({ copies, facts }) ?? Promise.reject(new Error('Nobody makes kernels.'))
        void outcomeOf(made).then((outcome) => this.deliver({ on: 'kernels_made', id, outcome }))
        return
      }
      case 'end_kernels':
        return this.#parts.forks?.end(effect.kernels)
      case 'kill':
        return workers.kill(effect.pid)
      case 'cancel_writer':
        return workers.cancelWriter(effect.checkpoint)
      case 'discard':
        return workers.discard(effect.snapshots)
      case 'remember':
        return store.remember(effect.line, effect.source)
      case 'remember_result':
        return store.rememberResult(effect.line, effect.transformed, effect.output)
      case 'store':
        return this.#callStore(effect.id, effect.call)
      case 'measure': {
        const { id, worker, frozen } = effect
        void this.#parts.usage.measure(worker, frozen).then((usage) => this.deliver({ on: 'measured', id, usage }))
        return
      }
      case 'count':
        return this.#parts.onCount?.(effect.what)
      case 'weigh': {
        const { id, pids } = effect
        void this.#parts.usage.weigh(pids).then((bytes) => this.deliver({ on: 'weighed', id, bytes }))
        return
      }
      case 'deadline':
        this.#deadlines.set(
          effect.id,
          clock.after(effect.afterMs, () => this.#expire(effect.id)),
        )
        return
      case 'cancel_deadline':
        this.#deadlines.get(effect.id)?.()
        this.#deadlines.delete(effect.id)
        return
      case 'settle': {
        const settled = { on: 'settled', ...(effect.seq === undefined ? {} : { seq: effect.seq }) } as const
        // Two turns of the event loop: what is in the sockets now is read in the first.
        setImmediate(() => setImmediate(() => this.deliver(settled)))
        return
      }
      case 'stop_workers':
        return workers.stop(effect.linger)
      case 'exit':
        this.#flush()
        for (const cancel of this.#deadlines.values()) cancel()
        return this.#parts.onExit(effect.code)
      case 'log':
        return log(effect.level, effect.event, effect.fields)
      default:
        return unreachable(effect)
    }
  }

  #send(topic: string, message: OutgoingMessage): void {
    this.#release()
    this.#speaking = true
    this.#parts.clients.publish(topic, this.#seal(message))
  }

  /** To be sent with what follows: each message that a socket sends by itself costs a wake-up here and at the client. */
  #hold(topic: string, message: OutgoingMessage): void {
    this.#held.push({ topic, frames: this.#seal(message) })
    this.#cancelHold ??= this.#parts.clock.after(this.#parts.holdMs, () => this.#release())
  }

  #release(): void {
    if (this.#held.length === 0) return
    this.#cancelHold?.()
    this.#cancelHold = null
    for (const { topic, frames } of this.#held.splice(0)) this.#parts.clients.publish(topic, frames)
  }

  /** Publishes all that waits to be. */
  #flush(): void {
    this.#pacer.flush()
    this.#release()
  }

  #seal(message: OutgoingMessage, id?: string): Buffer[] {
    this.#messages += 1
    const { session } = this.#parts.options
    const msg_id = id ?? `${session}_${this.#messages}`
    return seal(message, { msg_id, session, date: this.#parts.clock.date().toISOString() }, this.#parts.signer)
  }

  #expire(id: string): void {
    this.#deadlines.delete(id)
    this.deliver({ on: 'deadline', id })
  }

  #callStore(id: string, call: StoreCall): void {
    void this.#stored(call).then((outcome) => this.deliver({ on: 'store', id, outcome }))
  }

  /** Never rejects: a failure is an outcome. */
  async #stored(call: StoreCall): Promise<StoreOutcome> {
    try {
      return { ok: true, value: await storeCall(this.#parts.store, call) }
    } catch (error) {
      if (error instanceof SavepointError) {
        return { ok: false, error: { code: error.code, message: error.message, details: error.details } }
      }
      const message = `The store failed: ${error instanceof Error ? error.message : String(error)}`
      this.#parts.log('error', 'store_failed', { call: call.call, message })
      return { ok: false, error: { code: 'storage_failed', message, details: {} } }
    }
  }
}

/** Never rejects. */
async function outcomeOf(made: Promise<unknown>): Promise<OpOutcome> {
  try {
    return { ok: true, result: await made }
  } catch (error) {
    if (error instanceof SavepointError) {
      return { ok: false, error: { code: error.code, message: error.message, details: error.details } }
    }
    const message = error instanceof Error ? error.message : String(error)
    return { ok: false, error: { code: 'internal', message, details: {} } }
  }
}
