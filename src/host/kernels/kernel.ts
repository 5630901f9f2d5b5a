/**
 * One kernel of a gateway: an id that outlives its processes, and the clients that are attached to it.
 *
 * Theory of operation. At any time there is at most one incarnation, a host with its workers. A restart ends it and
 * makes the next one; attached clients stay, and are told by the messages that Jupyter's own server would send:
 * shutdown_reply, starting, idle. An incarnation that is lost through no wish of anybody is replaced, after a
 * `restarting`; one that is lost again and again leaves a dead kernel, which can still be restarted by hand.
 *
 * A kernel of an earlier gateway goes on with the incarnation of before, from its journal and with the processes that
 * still live; if none does it sleeps until somebody asks for it, and goes on then.
 *
 * Invariant: a client's message reaches the incarnation of the time, or waits for the next one.
 */

import { EMPTY_OBJECT } from '../../wire/message.js'
import type { Signer } from '../../wire/signature.js'
import { enter, newActivity, note, recall, resume, type Activity, type ExecutionState } from './activity.js'
import type { CullFacts } from './culling.js'
import { FanOut } from './fan-out.js'
import type { MessageJournal } from '../journal/messages.js'
import type { GatewayKernelParts } from './kernel-parts.js'
import type { ConnectionRecord } from './kernel-record.js'
import { statusOf, type KernelModel, type KernelStatus, type LastDeath } from './kernel-status.js'
import type { KernelPhase } from './lifecycle.js'
import { Lives, type Audience } from './lives.js'
import { MemoryMeter } from './memory.js'
import { statusMessage } from './own-requests.js'
import type { Attachment, AttachOptions, KernelClient, OpResult, OpWishes } from './ports.js'
import type { Turns } from './turns.js'

export class GatewayKernel {
  readonly id: string
  readonly name: string
  readonly owner: string
  /** Where what is kept of it lies; null: nothing is. */
  readonly folder: string | null
  readonly #parts: GatewayKernelParts
  readonly #fanOut: FanOut
  readonly #activity: Activity
  readonly #meter: MemoryMeter
  readonly #lives: Lives
  #signer: Signer = null
  /** The activity that was noted last, and when that was by the monotonic clock. */
  #latestActivity: number
  #idleSince: number

  constructor(parts: GatewayKernelParts) {
    this.#parts = parts
    this.id = parts.needs.kernelId
    this.name = parts.name
    this.owner = parts.owner
    this.folder = parts.folder
    const now = parts.clock.date().getTime()
    this.#activity = newActivity(now)
    if (parts.recalled) recall(this.#activity, parts.recalled)
    this.#latestActivity = this.#activity.lastActivity
    this.#idleSince = parts.clock.now() - Math.max(0, now - this.#latestActivity)
    this.#meter = new MemoryMeter(parts.newUsage(), parts.turns, parts.clock, parts.kernelLimits.measuredMs)
    this.#fanOut = new FanOut({
      clock: parts.clock,
      log: parts.log,
      holdMaxMs: parts.kernelLimits.holdMaxMs,
      onMessage: (channel, client, message) => this.#lives.receive(channel, client, message),
      onWithdraw: (client, id) => this.#lives.withdraw(client, id),
      onGone: (client) => this.#lives.incarnation?.deliver({ on: 'client_gone', client }),
      onHeld: (held) => this.#lives.incarnation?.hold(held),
    })
    this.#lives = new Lives(parts, this.#audience())
  }

  get phase(): KernelPhase {
    return this.#lives.phase
  }

  /** What it has said. */
  get journal(): MessageJournal {
    return this.#parts.journal
  }

  /** Resolves when its first worker is ready. Rejects with a SavepointError; then it has ended. */
  start(): Promise<void> {
    return this.#lives.start()
  }

  /**
   * Goes on with what an earlier gateway has left, in its turn and after `prepare`, which does not reject. `alive`:
   * processes of that may still live. Resolves when requests can be served. Never rejects.
   */
  takeUp(alive: boolean, turns: Turns, prepare: () => Promise<void>): Promise<void> {
    return this.#lives.takeUp(alive, turns, prepare)
  }

  /** Writes down what it can: the gateway is to end, and another one goes on. */
  handOver(): void {
    this.#lives.incarnation?.handOver()
    this.#lives.keep()
  }

  /** A new process under the same id; resolves when it is ready. Who asks while it is being done waits with the first. */
  restart(): Promise<void> {
    return this.#lives.restart()
  }

  /** Ends it, in order if that does not take too long. Never rejects. */
  shutdown(graceMs?: number): Promise<void> {
    return this.#lives.shutdown(graceMs)
  }

  /** The ZeroMQ channels that it has; null: none. They are kept for the next gateway, and those of the one before are here. */
  get connection(): ConnectionRecord | null {
    return this.#lives.past.connection
  }

  set connection(connection: ConnectionRecord | null) {
    this.#lives.past.connection = connection
    this.#lives.keep()
  }

  /** `client` is told of everything that is published from now on. */
  attach(client: KernelClient, options?: AttachOptions): Attachment {
    this.#lives.requireNoEnd()
    // Who only looks on is no reason to come back.
    if (options?.counted !== false) void this.#lives.wake()
    return this.#fanOut.attach(client, options)
  }

  /** Signs what it sends from now on; null: does not. */
  signWith(signer: Signer): void {
    this.#signer = signer
  }

  /** Interrupts what it does now; one that does nothing ignores it. Throws `kernel_dead`. */
  interrupt(): void {
    this.#lives.requireLife()
    this.#lives.incarnation?.deliver({ on: 'interrupt' })
  }

  /**
   * Has an op of `savepoint.transaction`, `savepoint.checkpoint` or `savepoint.namespace` done in its turn, as if it had
   * come on a comm; `data` is what stands there, without an id.
   *
   * Rejects with the op's SavepointError; with `kernel_busy` if it could not begin within `waitMs`, with `cancelled` if
   * `signal` was aborted before it began, with `kernel_restarting` or `kernel_dead` if there is nobody to do it.
   */
  async op(target: string, data: Readonly<Record<string, unknown>>, wishes: OpWishes): Promise<OpResult> {
    this.#lives.requireLife()
    await this.#lives.wake()
    return await this.#lives.present().op(target, data, wishes)
  }

  /**
   * Has its clients believe that it has ended, and keeps it for another one to come. False, with nothing done, while it
   * does anything or somebody else's transaction is open: nobody could tell its next client what that is about.
   */
  rest(): boolean {
    const facts = this.#lives.incarnation?.facts
    const atRest = this.phase === 'ready' && facts?.phase === 'idle' && facts.queue === 0 && facts.transactions === 0
    if (!atRest) return false
    this.#fanOut.notice('ended')
    this.#lives.past.resting = true
    this.#lives.keep()
    return true
  }

  /** Its client has come back for it: it is one like others again, which a next gateway goes on with. */
  takeBack(): void {
    this.#lives.past.resting = false
    this.#lives.keep()
  }

  /** How it is now; costs nothing. What needs measuring is told as it was when somebody asked before. */
  get status(): KernelStatus {
    const facts = this.#lives.incarnation?.facts ?? null
    this.#meter.refresh(facts)
    return statusOf({
      phase: this.#lives.phase,
      facts,
      workerSince: this.#lives.incarnation?.workerSince ?? null,
      activity: this.#activity,
      connections: this.#fanOut.connections,
      reason: this.#lives.past.reason,
      guard: this.#parts.guard,
      waiting: this.#lives.waiting,
      memory: this.#meter.latest,
      lastDeath: this.#lives.past.lastDeath,
    })
  }

  /** How its latest worker that died did; null: none has. */
  get lastDeath(): LastDeath | null {
    return this.#lives.past.lastDeath
  }

  get model(): KernelModel {
    return { id: this.id, name: this.name, ...this.status }
  }

  /** Its frozen copies, and what they alone hold, in bytes, as last measured. */
  get snapshots(): { readonly count: number; readonly bytes: number } {
    const facts = this.#lives.incarnation?.facts
    return { count: facts?.frozen.length ?? 0, bytes: facts?.heldBytes ?? 0 }
  }

  /** Gives up the oldest of the guard's copies, but for the newest, until all of them hold no more than that. */
  trimSnapshots(bytesMax: number, momentsMin: number): void {
    this.#lives.incarnation?.deliver({ on: 'trim', bytesMax, momentsMin })
  }

  /** By the monotonic clock: a clock that is set does not make anybody idle. */
  get cullFacts(): Omit<CullFacts, 'idleTimeoutS'> {
    const idleMs = this.#parts.clock.now() - this.#idleSince
    const { executionState } = this.#activity
    return { executionState, lastActivity: this.#now() - idleMs, connections: this.#fanOut.connections }
  }

  /** To be called whenever something may have been noted. */
  #noteIdle(): void {
    const { lastActivity } = this.#activity
    if (lastActivity === this.#latestActivity) return
    this.#latestActivity = lastActivity
    this.#idleSince = this.#parts.clock.now()
  }

  #now(): number {
    return this.#parts.clock.date().getTime()
  }

  #audience(): Audience {
    return {
      publish: (topic, frames, seq) => this.#publish(topic, frames, seq),
      reply: (channel, client, frames, seq) => this.#fanOut.reply(channel, client, frames, seq),
      notice: (what) => this.#fanOut.notice(what),
      enter: (state) => {
        enter(this.#activity, state, this.#now())
        this.#noteIdle()
      },
      resumed: () => resume(this.#activity, this.#parts.journal),
      say: (state) => this.#say(state),
      signer: () => this.#signer,
      held: () => this.#fanOut.held,
      lastActivity: () => this.#activity.lastActivity,
    }
  }

  #publish(topic: string, frames: readonly Buffer[], seq: number): void {
    const [, , , parent = EMPTY_OBJECT, , content = EMPTY_OBJECT] = frames
    note(this.#activity, topic, parent, content, this.#now())
    this.#noteIdle()
    this.#fanOut.publish(topic, frames, seq)
  }

  /** What no process can say, since there is none. */
  #say(execution_state: ExecutionState): void {
    const date = this.#parts.clock.date().toISOString()
    const frames = statusMessage(execution_state, this.id, date, this.#signer)
    this.#fanOut.publish('status', frames, this.#parts.journal.say('status', frames))
  }
}
