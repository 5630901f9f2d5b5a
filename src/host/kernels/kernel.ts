/**
 * One kernel of a gateway: an id that outlives its processes, and the clients that are attached to it.
 *
 * Theory of operation. At any time there is at most one incarnation, a host with its workers. A restart ends it and
 * makes the next one; attached clients stay, and are told by the messages that Jupyter's own server would send:
 * shutdown_reply, starting, idle. An incarnation that is lost through no wish of anybody is replaced, after a
 * `restarting`; one that is lost again and again leaves a dead kernel, which can still be restarted by hand.
 *
 * Invariant: a client's message reaches the incarnation of the time, or waits for the next one.
 */

import { randomUUID } from 'node:crypto'
import { SavepointError } from '../../errors.js'
import type { Client, DeathCause, KernelEvent } from '../../kernel/effects.js'
import { CHECKPOINT_TARGET } from '../../kernel/comms.js'
import { seal } from '../../wire/codec.js'
import { EMPTY_OBJECT, json, type IncomingMessage, type RequestChannel } from '../../wire/message.js'
import type { Signer } from '../../wire/signature.js'
import { begin, newActivity, note, type Activity, type ExecutionState } from './activity.js'
import type { CullFacts } from './culling.js'
import { FanOut } from './fan-out.js'
import { Incarnation, type End } from './incarnation.js'
import { MemoryMeter } from './memory.js'
import type { GatewayKernelParts } from './kernel-parts.js'
import { nextPhase, type KernelCue, type KernelPhase } from './lifecycle.js'
import type { KernelModel, KernelStatus, LastDeath } from './kernel-status.js'
import type { Attachment, AttachOptions, KernelClient, OpResult, OpWishes } from './ports.js'

type Withdrawal = Extract<KernelEvent, { on: 'withdraw_cell' }>

export class GatewayKernel {
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly #parts: GatewayKernelParts
  readonly #fanOut: FanOut
  readonly #activity: Activity
  readonly #meter: MemoryMeter
  #phase: KernelPhase = 'starting'
  #incarnation: Incarnation | null = null
  /** How many workers ended incarnations have had. */
  #generations = 0
  /** The checkpoint that the next incarnation comes back to: the one before was lost. */
  #comeBackTo: string | null = null
  #waiting: { readonly channel: RequestChannel; readonly client: Client; readonly message: IncomingMessage }[] = []
  /** What of it was taken back: the next incarnation answers it too. */
  #withdrawn: Withdrawal[] = []
  #starting: Promise<void> | null = null
  #restarting: Promise<void> | null = null
  #ending: Promise<void> | null = null
  /** All that ended incarnations had to keep is kept. */
  #stored: Promise<unknown> = Promise.resolve()
  #onIncarnationEnd: ((end: End) => void) | null = null
  #losses: number[] = []
  #lastDeath: LastDeath | null = null
  /** Why it is dead, if it is. */
  #reason: string | null = null
  #signer: Signer = null

  constructor(parts: GatewayKernelParts) {
    this.#parts = parts
    this.id = parts.needs.kernelId
    this.name = parts.name
    this.owner = parts.owner
    this.#activity = newActivity(this.#now())
    this.#meter = new MemoryMeter(parts.newUsage(), parts.turns, parts.clock, parts.kernelLimits.measuredMs)
    this.#fanOut = new FanOut({
      clock: parts.clock,
      log: parts.log,
      holdMaxMs: parts.kernelLimits.holdMaxMs,
      onMessage: (channel, client, message) => this.#receive(channel, client, message),
      onWithdraw: (client, id) => this.#withdraw({ on: 'withdraw_cell', client, id }),
      onGone: (client) => this.#incarnation?.deliver({ on: 'client_gone', client }),
      onHeld: (held) => this.#incarnation?.hold(held),
    })
  }

  get phase(): KernelPhase {
    return this.#phase
  }

  /** Resolves when its first worker is ready. Rejects with a SavepointError; then it has ended. */
  start(): Promise<void> {
    this.#starting ??= this.#start()
    return this.#starting
  }

  /** `client` is told of everything that is published from now on. */
  attach(client: KernelClient, options?: AttachOptions): Attachment {
    if (this.#phase === 'ending' || this.#phase === 'ended') throw ended()
    return this.#fanOut.attach(client, options)
  }

  /** Signs what it sends from now on; null: does not. */
  signWith(signer: Signer): void {
    this.#signer = signer
  }

  /** Interrupts what it does now; one that does nothing ignores it. Throws `kernel_dead`. */
  interrupt(): void {
    if (this.#phase === 'dead') throw dead()
    if (this.#phase === 'ending' || this.#phase === 'ended') throw ended()
    this.#incarnation?.deliver({ on: 'interrupt' })
  }

  /**
   * Has an op of `savepoint.transaction`, `savepoint.checkpoint` or `savepoint.namespace` done in its turn, as if it had
   * come on a comm; `data` is what stands there, without an id.
   *
   * Rejects with the op's SavepointError; with `kernel_busy` if it could not begin within `waitMs`, with `cancelled` if
   * `signal` was aborted before it began, with `kernel_restarting` or `kernel_dead` if there is nobody to do it.
   */
  async op(target: string, data: Readonly<Record<string, unknown>>, wishes: OpWishes): Promise<OpResult> {
    if (this.#phase === 'dead') throw dead()
    if (this.#phase === 'ending' || this.#phase === 'ended') throw ended()
    if (this.#incarnation === null || this.#phase !== 'ready') {
      throw new SavepointError('kernel_restarting', 'The kernel is starting. Ask again when it is ready.')
    }
    return await this.#incarnation.op(target, data, wishes)
  }

  /** A new process under the same id; resolves when it is ready. Who asks while it is being done waits with the first. */
  restart(): Promise<void> {
    if (this.#phase === 'ending' || this.#phase === 'ended') return Promise.reject(ended())
    // Nothing has happened in it yet.
    if (this.#phase === 'starting') return this.start()
    this.#restarting ??= this.#restart().finally(() => {
      this.#restarting = null
    })
    return this.#restarting
  }

  /**
   * Has its clients believe that it has ended, and keeps it for another one to come. False, with nothing done, while it
   * does anything or somebody else's transaction is open: nobody could tell its next client what that is about.
   */
  rest(): boolean {
    const facts = this.#incarnation?.facts
    const atRest = this.#phase === 'ready' && facts?.phase === 'idle' && facts.queue === 0 && facts.transactions === 0
    if (atRest) this.#fanOut.notice('ended')
    return atRest
  }

  /** Ends it, in order if that does not take too long. Never rejects. */
  shutdown(graceMs = this.#parts.kernelLimits.endGraceMs): Promise<void> {
    this.#ending ??= this.#shutdown(graceMs)
    return this.#ending
  }

  /** How it is now; costs nothing. What needs measuring is told as it was when somebody asked before. */
  get status(): KernelStatus {
    this.#meter.refresh(this.#incarnation?.facts ?? null)
    const facts = this.#incarnation?.facts ?? null
    const since = this.#incarnation?.workerSince ?? null
    return {
      execution_state: this.#activity.executionState,
      last_activity: new Date(this.#activity.lastActivity).toISOString(),
      connections: this.#fanOut.connections,
      ...(this.#phase === 'dead' ? { reason: this.#reason ?? 'The kernel died.' } : {}),
      savepoint: {
        phase: this.#phase === 'ready' && facts ? facts.phase : this.#phase,
        worker: facts?.worker && since !== null ? { ...facts.worker, started_at: new Date(since).toISOString() } : null,
        guard: facts?.guard ?? this.#parts.guard,
        transactions: facts?.transactions ?? 0,
        undo_depth: facts?.undoDepth ?? 0,
        queue: (facts?.queue ?? 0) + this.#waiting.length,
        ...this.#meter.latest,
        last_death: this.#lastDeath,
      },
    }
  }

  get model(): KernelModel {
    return { id: this.id, name: this.name, ...this.status }
  }

  /** Its frozen copies, and what they alone hold, in bytes, as last measured. */
  get snapshots(): { readonly count: number; readonly bytes: number } {
    const facts = this.#incarnation?.facts
    return { count: facts?.frozen.length ?? 0, bytes: facts?.heldBytes ?? 0 }
  }

  /** Gives up the oldest of the guard's copies until all of them hold no more than that. */
  trimSnapshots(bytesMax: number): void {
    this.#incarnation?.deliver({ on: 'trim', bytesMax })
  }

  get cullFacts(): Omit<CullFacts, 'idleTimeoutS'> {
    const { executionState, lastActivity } = this.#activity
    return { executionState, lastActivity, connections: this.#fanOut.connections }
  }

  #now(): number {
    return this.#parts.clock.date().getTime()
  }

  #cue(by: KernelCue): void {
    this.#phase = nextPhase(this.#phase, by)
  }

  #receive(channel: RequestChannel, client: Client, message: IncomingMessage): void {
    const { log, kernelLimits } = this.#parts
    if (this.#incarnation !== null && this.#onIncarnationEnd === null) this.#incarnation.send(channel, client, message)
    else if (this.#phase === 'dead') log('debug', 'message_to_dead_kernel', { kernel: this.id })
    else if (this.#waiting.length < kernelLimits.waitingMax) this.#waiting.push({ channel, client, message })
    else log('warn', 'message_dropped', { kernel: this.id, type: message.header.msg_type.slice(0, 100) })
  }

  #withdraw(withdrawal: Withdrawal): void {
    if (this.#incarnation !== null && this.#onIncarnationEnd === null) this.#incarnation.deliver(withdrawal)
    else if (this.#waiting.some(({ message }) => message.header.msg_id === withdrawal.id)) {
      this.#withdrawn.push(withdrawal)
    }
  }

  /** Makes an incarnation, and waits until it is ready. */
  async #comeUp(): Promise<void> {
    const { clock, kernelLimits, origin, ...parts } = this.#parts
    const incarnation = new Incarnation({
      ...parts,
      clock,
      // What follows its first process is as of any kernel: empty.
      ...(origin && this.#phase === 'starting' ? { origin } : {}),
      clients: {
        publish: (topic, frames) => this.#publish(topic, frames),
        reply: (channel, client, frames) => this.#fanOut.reply(channel, client, frames),
      },
      generationsBefore: this.#generations,
      comeBackTo: this.#comeBackTo,
      signer: () => this.#signer,
      onDeath: (cause, atRest) => this.#died(cause, atRest),
      onEnd: (end) => this.#incarnationEnded(incarnation, end),
    })
    this.#comeBackTo = null
    this.#incarnation = incarnation
    this.#stored = Promise.all([this.#stored, incarnation.stored])
    if (this.#fanOut.held) incarnation.hold(true)
    for (const { channel, client, message } of this.#waiting.splice(0)) incarnation.send(channel, client, message)
    for (const withdrawal of this.#withdrawn.splice(0)) incarnation.deliver(withdrawal)
    const cancel = clock.after(kernelLimits.startMs, () => incarnation.abandon('lost', tooSlow(kernelLimits.startMs)))
    try {
      await incarnation.ready
    } finally {
      cancel()
    }
    this.#cue('up')
  }

  async #start(): Promise<void> {
    const { checkpoint } = this.#parts
    try {
      await this.#comeUp()
      if (checkpoint !== undefined) await this.#beginWith(checkpoint)
    } catch (error) {
      await this.shutdown()
      throw error
    }
  }

  /** Nobody has heard of this kernel yet: the state of a checkpoint is all that it has ever had. */
  async #beginWith(checkpoint: string): Promise<void> {
    const { owner, kernelLimits } = this.#parts
    const wishes = { by: owner, waitMs: kernelLimits.startMs }
    await this.op(CHECKPOINT_TARGET, { op: 'restore', checkpoint }, wishes)
  }

  async #restart(): Promise<void> {
    this.#cue('restart')
    begin(this.#activity, 'restarting', this.#now())
    await this.#endIncarnation(true, this.#parts.kernelLimits.restartGraceMs)
    await this.#next()
  }

  /** The incarnation that follows the one that has ended. */
  async #next(): Promise<void> {
    if (this.#phase !== 'restarting') throw ended()
    this.#fanOut.notice('restarted')
    begin(this.#activity, 'starting', this.#now())
    try {
      await this.#comeUp()
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error))
      throw error
    }
  }

  #fail(reason: string): void {
    this.#reason = reason
    if (this.#phase === 'ending' || this.#phase === 'ended') return
    this.#cue('fail')
    begin(this.#activity, 'dead', this.#now())
    this.#waiting = []
    this.#withdrawn = []
    this.#say('dead')
  }

  async #shutdown(graceMs: number): Promise<void> {
    this.#cue('end')
    await this.#endIncarnation(false, graceMs)
    this.#cue('gone')
    begin(this.#activity, 'dead', this.#now())
    this.#waiting = []
    this.#withdrawn = []
    this.#fanOut.notice('ended')
    this.#parts.onEnded()
    await this.#stored
  }

  async #endIncarnation(restart: boolean, graceMs: number): Promise<void> {
    const incarnation = this.#incarnation
    if (incarnation === null) return
    await new Promise<void>((resolve) => {
      const before = this.#onIncarnationEnd
      this.#onIncarnationEnd = (end) => {
        before?.(end)
        resolve()
      }
      incarnation.stop(restart, graceMs)
    })
  }

  #incarnationEnded(incarnation: Incarnation, end: End): void {
    if (this.#incarnation !== incarnation) return
    this.#generations = incarnation.facts.generation
    this.#incarnation = null
    const awaited = this.#onIncarnationEnd
    this.#onIncarnationEnd = null
    if (awaited) {
      awaited(end)
      return
    }
    // While it starts, whoever waits for it hears of its end.
    if (this.#phase !== 'ready') return
    if (end === 'end') void this.shutdown()
    else if (end === 'restart') this.#replace()
    else this.#lost(incarnation.facts.head)
  }

  /** Nobody wanted it to end. `head`: the checkpoint that its state grew out of. */
  #lost(head: string | null): void {
    this.#comeBackTo = head
    const { lossesMax, lossesWithinMs } = this.#parts.kernelLimits
    const now = this.#now()
    this.#losses = [...this.#losses.filter((at) => now - at < lossesWithinMs), now]
    this.#parts.log('error', 'kernel_lost', { kernel: this.id, times: this.#losses.length })
    if (this.#losses.length > lossesMax) {
      this.#fail(`It lost its Python process ${this.#losses.length} times within ${lossesWithinMs / 1000} s.`)
      return
    }
    this.#say('restarting')
    this.#replace()
  }

  #replace(): void {
    this.#cue('restart')
    begin(this.#activity, 'restarting', this.#now())
    this.#restarting ??= this.#next().finally(() => {
      this.#restarting = null
    })
    // It is logged, and clients are told by a status.
    this.#restarting.catch(() => {})
  }

  #died(cause: DeathCause, atRest: boolean): void {
    this.#lastDeath = {
      at: this.#parts.clock.date().toISOString(),
      signal: cause.signal?.name ?? null,
      exit_code: cause.code,
      reason: cause.why ?? null,
    }
    if (!atRest) return
    // Nobody would know that the variables are gone.
    this.#say('restarting')
    begin(this.#activity, 'starting', this.#now())
  }

  #publish(topic: string, frames: readonly Buffer[]): void {
    const [, , , parent = EMPTY_OBJECT, , content = EMPTY_OBJECT] = frames
    note(this.#activity, topic, parent, content, this.#now())
    this.#fanOut.publish(topic, frames)
  }

  /** What no incarnation can say, since there is none. */
  #say(execution_state: ExecutionState): void {
    const message = {
      type: 'status',
      parentBytes: EMPTY_OBJECT,
      metadataBytes: EMPTY_OBJECT,
      contentBytes: json({ execution_state }),
      buffers: [],
    }
    const date = this.#parts.clock.date().toISOString()
    this.#fanOut.publish('status', seal(message, { msg_id: randomUUID(), session: this.id, date }, this.#signer))
  }
}

function tooSlow(startMs: number): SavepointError {
  return new SavepointError('timeout', `The kernel was not ready within ${startMs / 1000} s. Try again later.`)
}

function dead(): SavepointError {
  return new SavepointError('kernel_dead', 'The kernel is dead. Restart it, or start another one.')
}

function ended(): SavepointError {
  return new SavepointError('kernel_dead', 'The kernel has ended. Start another one.')
}
