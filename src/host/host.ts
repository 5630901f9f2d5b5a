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
import { unreachable } from '../errors.js'
import type { Counted, Effect, KernelEvent, OpOutcome, StoreCall } from '../kernel/effects.js'
import { factsOf, type KernelFacts } from '../kernel/facts.js'
import type { KernelOptions, KernelState } from '../kernel/state.js'
import { start, step } from '../kernel/step.js'
import type { Log } from '../log.js'
import type { Signer } from '../wire/signature.js'
import type { KernelJournal } from './journal/journal.js'
import { newLedger, type KeptCommand } from './journal/ledger.js'
import { Recorder, type Taken } from './journal/recorder.js'
import { isSaid, type Recovered } from './journal/replay.js'
import { memoryOf, openOf } from './journal/take-up.js'
import { Outlet, type Sealed } from './outlet.js'
import type { PacerLimits } from './pacer.js'
import { asOnce, outcomeOf, stored } from './store-calls.js'
import type { HostWatch } from './watch.js'
import type { ClientPort, ForksPort, Placed, StorePort, UsagePort, WorkerMemory, WorkerPort } from './ports.js'

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
  /** Where all that happens is written down before anything is done; absent: nowhere, and nothing outlives the host. */
  readonly journal?: KernelJournal
  /** What the journal says that the kernel was: the host goes on from there (`takeUp`), with the options of then. */
  readonly recovered?: Recovered
  /** Makes kernels of copies of this one; absent: it cannot be forked. */
  readonly forks?: ForksPort
  /** What became of an `op` event. */
  readonly onAnswer?: (id: string, outcome: OpOutcome) => void
  readonly onCount?: (what: Counted) => void
  /** Sees what the kernel takes and does. */
  readonly watch?: HostWatch
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

/** For what was to have happened while no gateway was there. */
const LATE_MS = 1_000
/** For a worker to come back, before deadlines pass without it. */
const BACK_MS = 30_000

export class Host {
  readonly #parts: HostParts
  readonly #outlet: Outlet
  readonly #state: KernelState
  /** Writes down what happens; null: nothing is. */
  readonly #recorder: Recorder | null
  readonly #events: (KernelEvent | Placed)[] = []
  readonly #deadlines = new Map<string, () => void>()
  readonly #now: () => number
  #stepping = false
  #messages = 0

  constructor(parts: HostParts) {
    this.#parts = parts
    const { clock, journal = null, recovered } = parts
    const options = recovered?.state.options ?? parts.options
    const epoch = clock.date().getTime() - clock.now()
    this.#now = () => epoch + clock.now()
    this.#outlet = new Outlet({
      ...parts,
      signer: () => parts.signer,
      session: options.session,
      nextSeq: () => journal?.nextSeq() ?? (this.#messages += 1),
      onText: (message) => this.#recorder?.said(message),
    })
    const begun = recovered ? { ...recovered, effects: [] } : { ...start(options, this.#now()), ledger: newLedger() }
    const { state, ledger, effects } = begun
    this.#state = state
    const { outlet, now } = { outlet: this.#outlet, now: this.#now }
    this.#recorder = journal
      ? new Recorder({ journal, outlet, now, state, ledger, workers: parts.workers, clock })
      : null
    if (!recovered) this.#performAll(this.#recorder?.begin(options, effects) ?? unwritten(effects))
  }

  /**
   * Goes on with the kernel that was recovered, once. `takeUpWorkers` is called at once, and resolves when it is known
   * what became of the worker; deadlines pass from then on. `seenAt`: the process before was there until then or later,
   * in milliseconds since the epoch.
   */
  takeUp(takeUpWorkers: (memory: WorkerMemory) => Promise<void>, seenAt = 0): void {
    const { recovered, store } = this.#parts
    if (!recovered || !this.#recorder) return
    const open = openOf(recovered)
    const back = takeUpWorkers(memoryOf(recovered))
    this.#recorder.sayHeard()
    this.deliver({ on: 'host_moved', seenAt })
    for (const [id, call] of open.calls) this.#callStore(id, call, true)
    for (const effect of open.effects) this.#attempt(effect)
    for (const { effect } of open.lines) {
      if (effect.do === 'remember') store.remember(effect.line, effect.source)
      else store.rememberResult(effect.line, effect.transformed, effect.output)
    }
    const goOn = (): void => {
      for (const [id, at] of open.deadlines) {
        // What came in the meantime may be what it waits for, and is read first.
        const isOpen = recovered.ledger.deadlines.get(id) === at && !this.#deadlines.has(id)
        if (isOpen) this.#arm(id, Math.max(at - this.#now(), LATE_MS))
      }
    }
    // Whoever waits must not wait for ever for a worker that is in the middle of C code.
    this.#parts.clock.after(BACK_MS, goOn)
    void back.then(goOn)
  }

  /** Writes down what it can before the process ends on purpose, and another one goes on. */
  handOver(): void {
    this.#outlet.flush()
    this.#recorder?.keepState()
  }

  /** Takes an event of any source. */
  deliver(event: KernelEvent | Placed): void {
    if (event.on !== 'placed') this.#parts.watch?.event(event)
    this.#events.push(event)
    if (this.#stepping) return
    this.#stepping = true
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) this.#take(next)
    } finally {
      this.#stepping = false
    }
  }

  #take(event: KernelEvent | Placed): void {
    if (event.on === 'placed') {
      this.#recorder?.placed(event.placement)
      return
    }
    if (!this.#recorder && event.on === 'output' && event.text.length === 0) return
    this.#performAll(this.#recorder?.take(event) ?? unwritten(step(this.#state, event, this.#now())))
    const next = this.#recorder?.rest()
    if (next) this.#events.push(next)
  }

  /** How the kernel is now. */
  get facts(): KernelFacts {
    return factsOf(this.#state)
  }

  #performAll({ effects, messages, commands }: Taken): void {
    this.#outlet.listen()
    let told = 0
    for (const effect of effects) {
      if (FOR_WORKERS.has(effect.do))
        this.#attempt(effect, undefined, effect.do === 'command' ? commands[told++] : undefined)
    }
    let said = 0
    for (const effect of effects) {
      if (!FOR_WORKERS.has(effect.do)) this.#attempt(effect, isSaid(effect) ? messages[said++] : undefined)
    }
  }

  /** One effect that cannot be performed must not take those behind it along; whoever waits for it has a deadline. */
  #attempt(effect: Effect, message?: Sealed, command?: KeptCommand): void {
    try {
      this.#parts.watch?.effect(effect)
      this.#perform(effect, message, command)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#parts.log('error', 'effect_failed', { effect: effect.do, message })
    }
  }

  #perform(effect: Effect, message?: Sealed, kept?: KeptCommand): void {
    const { workers, store, log } = this.#parts
    switch (effect.do) {
      case 'publish':
      case 'publish_stream':
      case 'reply':
      case 'ask_client':
        return this.#outlet.say(effect, message)
      case 'answer':
        return this.#parts.onAnswer?.(effect.id, effect.outcome)
      case 'command':
        return workers.command(kept?.command ?? effect.command, effect.parts)
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
        return this.#arm(effect.id, effect.afterMs)
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
        this.#outlet.flush()
        this.#recorder?.close()
        for (const cancel of this.#deadlines.values()) cancel()
        return this.#parts.onExit(effect.code)
      case 'log':
        return log(effect.level, effect.event, effect.fields)
      default:
        return unreachable(effect)
    }
  }

  #arm(id: string, afterMs: number): void {
    const expire = (): void => {
      this.#deadlines.delete(id)
      this.deliver({ on: 'deadline', id })
    }
    this.#deadlines.set(id, this.#parts.clock.after(afterMs, expire))
  }

  /** `again`: it may have been done. */
  #callStore(id: string, call: StoreCall, again = false): void {
    const { store, log, clock, watch } = this.#parts
    const began = clock.now()
    void stored(store, call, log).then((outcome) => {
      watch?.stored(call, outcome, clock.now() - began)
      this.deliver({ on: 'store', id, outcome: again ? asOnce(call, outcome) : outcome })
    })
  }
}

function unwritten(effects: readonly Effect[]): Taken {
  return { effects, messages: [], commands: [] }
}
