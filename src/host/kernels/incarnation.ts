/**
 * One process of a gateway's kernel, from its start to its end: a host, its workers and its store.
 *
 * A restart makes a new one under the same id. What it says and what becomes of it is told to the kernel; whatever it
 * does after it was given up is told to nobody.
 */

import { randomBytes, randomUUID } from 'node:crypto'
import type { Clock } from '../../clock.js'
import { SavepointError, type ErrorCode } from '../../errors.js'
import { WITH_ZYGOTE } from '../../kernel/death.js'
import type { Counted, DeathCause, KernelEvent, OpOutcome } from '../../kernel/effects.js'
import type { Lost } from '../../kernel/comeback.js'
import type { KernelFacts } from '../../kernel/facts.js'
import { RawJson } from '../../kernel/namespace.js'
import type { KernelOptions } from '../../kernel/state.js'
import type { Log } from '../../log.js'
import type { Observe } from '../../observe.js'
import type { IncomingMessage, RequestChannel } from '../../wire/message.js'
import type { Signer } from '../../wire/signature.js'
import { Host } from '../host.js'
import type { KernelJournal } from '../journal/journal.js'
import type { Recovered } from '../journal/replay.js'
import { KernelWatch } from '../watch.js'
import type { PacerLimits } from '../pacer.js'
import type { ClientPort, ForkWish, Placed } from '../ports.js'
import type { KernelModel } from './kernel-status.js'
import { ownRequest } from './own-requests.js'
import type {
  ForkOrigin,
  KernelStorePort,
  KernelWorkers,
  NewStore,
  NewUsage,
  NewWorkers,
  OpResult,
  OpWishes,
  WorkerNeeds,
} from './ports.js'

/** What all kernels of a gateway have in common. */
export interface KernelSurroundings {
  readonly newWorkers: NewWorkers
  readonly newStore: NewStore
  readonly newUsage: NewUsage
  readonly clock: Clock
  readonly log: Log
  readonly observe: Observe
  readonly options: Pick<KernelOptions, 'offersSubshells' | 'records' | 'checkpoints' | 'limits'> & {
    /** Whether kernels have a guard unless they are asked for without. */
    readonly guard: boolean
  }
  readonly pacing: PacerLimits
  readonly holdMs: number
  /** The gateway before was there until then or later, in milliseconds since the epoch. Absent: nobody knows. */
  readonly seenAt?: number
}

export interface IncarnationParts extends KernelSurroundings {
  readonly needs: WorkerNeeds
  readonly clients: ClientPort
  /** It is a fork of another kernel. */
  readonly origin?: ForkOrigin
  /** Makes kernels of copies that wait in `place`. Rejects with a SavepointError. */
  readonly fork: (wish: ForkWish, place: string) => Promise<readonly KernelModel[]>
  readonly endKernels: (ids: readonly string[]) => void
  readonly guard: boolean
  /** What is known of the process before, if it was lost: it is to begin with what can be had of it. */
  readonly lost: Lost | null
  readonly onCount: (what: Counted) => void
  /** How many workers the kernel has had. */
  readonly generationsBefore: number
  /** Of the kernel, over all of its incarnations. */
  readonly journal: KernelJournal
  /** What the journal says that the kernel was when its gateway ended: it goes on from there. */
  readonly recovered?: Recovered
  /** Asked before each message: signing begins when somebody needs it. */
  readonly signer: () => Signer
  /** Its worker died, and is replaced. `atRest`: no cell is told of it by an error. */
  readonly onDeath: (cause: DeathCause, atRest: boolean) => void
  /** Told once, when there is nothing left of it. */
  readonly onEnd: (end: End) => void
}

/** `restart`, `end`: a client asked for it. `lost`: it ended for another reason. */
export type End = 'restart' | 'end' | 'lost'

export class Incarnation {
  /** A worker is up and kernel_info was answered. Rejects with a SavepointError. */
  readonly ready: Promise<void>
  readonly #parts: IncarnationParts
  readonly #host: Host
  readonly #workers: KernelWorkers
  readonly #store: KernelStorePort
  readonly #watch: KernelWatch
  /** It has ended, and all that it had to keep is kept. Never rejects. */
  readonly stored: Promise<void>
  #closeStore: () => void = () => {}
  #cancelGrace: () => void = () => {}
  #settleReady: (error: SavepointError | null) => void = () => {}
  /** Ops that wait for their answers. */
  readonly #asked = new Map<string, (outcome: OpOutcome) => void>()
  #early: (KernelEvent | Placed)[] | null = []
  #depth = 0
  #mayBeUp = false
  #isReady = false
  #diedAtRest = false
  #over = false
  #failure: SavepointError | null = null
  /** When the present worker came up, in milliseconds since the epoch. */
  #workerSince: number | null = null

  constructor(parts: IncarnationParts) {
    this.#parts = parts
    const { needs, clients, clock, options, signer, origin, lost, recovered } = parts
    this.#watch = new KernelWatch({ kernel: needs.kernelId, owner: needs.tenant }, parts.observe, clock)
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = (error) => (error ? reject(error) : resolve())
    })
    // Whoever waits hears of it; nobody has to wait.
    this.ready.catch(() => {})
    const session = recovered?.state.options.session ?? randomUUID()
    this.#store = parts.newStore(needs, session)
    this.stored = new Promise((resolve) => {
      this.#closeStore = () => resolve(this.#keepAll())
    })
    this.#workers = parts.newWorkers(needs, (event) => this.deliver(event), origin?.place)
    this.#host = new Host({
      options: {
        offersSubshells: options.offersSubshells,
        forks: true,
        ...(origin ? { forked: origin.forked } : {}),
        records: options.records,
        checkpoints: options.checkpoints,
        ...(lost === null ? {} : { lost }),
        // A front end asks a busy kernel whether it is there, and gives up sooner than a launcher would.
        limits: { ...options.limits, infoPatienceMs: 0 },
        session,
        seed: randomBytes(32).toString('hex'),
        ports: {},
        recover: true,
        guard: parts.guard,
        linger: false,
        restoreLast: false,
        lazy: false,
        kernelInfo: null,
        generationsBefore: parts.generationsBefore,
      },
      clients: {
        publish: (topic, frames, seq) => void (this.#over || clients.publish(topic, frames, seq)),
        reply: (channel, client, frames, seq) => void (this.#over || clients.reply(channel, client, frames, seq)),
      },
      workers: this.#workers,
      store: this.#store,
      usage: parts.newUsage(),
      get signer() {
        return signer()
      },
      clock,
      log: this.#watch.log(parts.log),
      watch: this.#watch,
      pacing: parts.pacing,
      holdMs: parts.holdMs,
      forks: { make: (wish) => this.#fork(wish), end: parts.endKernels },
      journal: parts.journal,
      ...(recovered ? { recovered } : {}),
      onCount: parts.onCount,
      onAnswer: (id, outcome) => this.#asked.get(id)?.(outcome),
      onExit: (code) => this.#exited(code),
    })
    const early = this.#early ?? []
    this.#early = null
    for (const event of early) this.deliver(event)
    if (recovered) this.#takeUp(recovered)
    else this.#workers.start().catch((error: unknown) => this.#fail(asSavepointError(error)))
  }

  get facts(): KernelFacts {
    return this.#host.facts
  }

  get workerSince(): number | null {
    return this.facts.worker === null ? null : this.#workerSince
  }

  send(channel: RequestChannel, client: { readonly routing: readonly Buffer[] }, message: IncomingMessage): void {
    this.deliver({ on: 'message', channel, client, message })
  }

  /** Takes an event of its workers, or one that the kernel brings about. */
  deliver(event: KernelEvent | Placed): void {
    if (this.#over) return
    if (this.#early !== null) {
      this.#early.push(event)
      return
    }
    if (event.on === 'worker_failed')
      this.#failure = new SavepointError('starting', `No worker came up: ${event.reason}.`)
    if (event.on === 'worker_died' && event.generation === this.facts.generation && this.facts.phase !== 'stopping') {
      // One that has its state again needs no announcement.
      this.#diedAtRest = this.facts.phase === 'idle' && !this.facts.hasWayBack
      const { endedFor } = this.facts
      const cause = endedFor === null ? event.cause : { ...event.cause, why: endedFor }
      this.#watch.died(cause)
      this.#parts.onDeath(cause, this.#diedAtRest)
    }
    if (event.on === 'zygote_died' && this.facts.worker !== null && this.facts.phase !== 'stopping') {
      this.#watch.died(WITH_ZYGOTE)
      // Whatever it was at, what comes next is announced as the next process of a kernel that was lost.
      this.#parts.onDeath(WITH_ZYGOTE, false)
    }
    if (event.on === 'worker_up') this.#mayBeUp = true
    this.#depth += 1
    this.#host.deliver(event)
    this.#depth -= 1
    // There is nobody left who would say that all have ended.
    if (event.on === 'zygote_died') this.deliver({ on: 'workers_stopped' })
    // What comes while the host is at another event is taken when that is done.
    if (this.#depth === 0 && this.#mayBeUp) this.#workerUp()
  }

  /**
   * Has an op of a comm target done, in its turn. Rejects with the op's SavepointError, with `kernel_busy` if it could
   * not begin within `waitMs`, with `cancelled` if `signal` was aborted before.
   */
  op(target: string, data: Readonly<Record<string, unknown>>, wishes: OpWishes): Promise<OpResult> {
    if (this.#over) return Promise.reject(goneError())
    const id = randomUUID()
    const { by, waitMs, signal } = wishes
    const withdraw = (): void => this.deliver({ on: 'withdraw', id })
    return new Promise<OpResult>((resolve, reject) => {
      this.#asked.set(id, (outcome) => {
        this.#asked.delete(id)
        signal?.removeEventListener('abort', withdraw)
        if (outcome.ok) resolve({ result: parsed(outcome.result), warnings: outcome.warnings ?? [] })
        else reject(new SavepointError(outcome.error.code as ErrorCode, outcome.error.message, outcome.error.details))
      })
      this.deliver({ on: 'op', id, target, data, by, waitMs })
      signal?.addEventListener('abort', withdraw, { once: true })
      if (signal?.aborted) withdraw()
    })
  }

  hold(held: boolean): void {
    if (this.#over) return
    if (held) this.#workers.pause()
    else this.#workers.resume()
  }

  /** Asks it to end as a client would; what of it has not ended within `graceMs` is ended by force. */
  stop(restart: boolean, graceMs: number): void {
    if (this.#over) return
    if (!this.#isReady) {
      this.abandon(restart ? 'restart' : 'end')
      return
    }
    this.#cancelGrace = this.#parts.clock.after(graceMs, () => this.abandon(restart ? 'restart' : 'end'))
    // What is held up would not see that it is to end.
    this.#workers.resume()
    this.send('control', { routing: [] }, ownRequest('shutdown_request', { restart }))
  }

  /** Ends it at once. `error`: what those are told who wait for it to be ready. */
  abandon(end: End, error = new SavepointError('kernel_dead', 'The kernel was ended before it was ready.')): void {
    this.#end(end, this.#failure ?? error)
  }

  /** Goes on where the gateway before has ended. */
  #takeUp({ state }: Recovered): void {
    this.#isReady = (state.worker?.pid ?? null) !== null
    this.#workerSince = this.#isReady ? state.workerSince : null
    this.#host.takeUp(async (memory) => {
      await this.#workers.takeUp?.(memory)
    }, this.#parts.seenAt)
    // What it is asked waits for its worker. One whose worker was on its way says itself when that is there.
    if (this.#isReady) this.#settleReady(null)
  }

  /** Writes down what it can: the process ends on purpose, and another one goes on. */
  handOver(): void {
    if (!this.#over) this.#host.handOver()
  }

  async #fork(wish: ForkWish): Promise<{ kernels: readonly KernelModel[] }> {
    const kernels = await this.#parts.fork(wish, this.#workers.place ?? '')
    // Whoever asked was told that this one has ended.
    if (this.#over) this.#parts.endKernels(kernels.map(({ id }) => id))
    return { kernels }
  }

  async #keepAll(): Promise<void> {
    try {
      await this.#store.close()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#parts.log('error', 'store_close_failed', { message })
    }
  }

  #workerUp(): void {
    this.#mayBeUp = false
    const { worker } = this.facts
    if (worker === null) return
    this.#workerSince = this.#parts.clock.date().getTime()
    if (this.#isReady && !this.#diedAtRest) return
    this.#isReady = true
    this.#diedAtRest = false
    // Its idle is what tells clients that were there before that the kernel is there again.
    this.send('control', { routing: [] }, ownRequest('kernel_info_request', {}))
    this.#settleReady(null)
  }

  #exited(code: number): void {
    const asked = code === 0
    const end = asked ? (this.facts.restarts ? 'restart' : 'end') : 'lost'
    this.#end(end, this.#failure ?? new SavepointError('kernel_dead', 'The kernel ended before it was ready.'))
  }

  #fail(error: SavepointError): void {
    this.#failure = error
    this.#parts.log('error', 'kernel_start_failed', { code: error.code, message: error.message })
    this.#end('lost', error)
  }

  #end(end: End, error: SavepointError): void {
    if (this.#over) return
    this.#over = true
    this.#cancelGrace()
    this.#watch.ended()
    this.#workers.abandon()
    this.#settleReady(error)
    const { code, message, details } = goneError()
    for (const answer of this.#asked.values()) answer({ ok: false, error: { code, message, details } })
    this.#closeStore()
    this.#parts.onEnd(end)
  }
}

function goneError(): SavepointError {
  return new SavepointError('kernel_restarting', 'The kernel was restarted or has ended before this was done.')
}

/** What a worker made is bytes of JSON. */
function parsed(result: unknown): unknown {
  return result instanceof RawJson ? (JSON.parse(result.bytes.toString()) as unknown) : result
}

function asSavepointError(error: unknown): SavepointError {
  if (error instanceof SavepointError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SavepointError('internal', `The kernel could not be started: ${message}`, {}, { cause: error })
}
