/**
 * The processes of one kernel, one after the other: the start of the first, the change from each to the next, the end.
 *
 * Invariant: a client's message reaches the incarnation of the time, or waits for the next one.
 */

import { SavepointError } from '../../errors.js'
import { CHECKPOINT_TARGET } from '../../kernel/comms.js'
import type { Lost } from '../../kernel/comeback.js'
import type { Client, DeathCause } from '../../kernel/effects.js'
import type { IncomingMessage, RequestChannel } from '../../wire/message.js'
import type { Signer } from '../../wire/signature.js'
import type { Recovered } from '../journal/replay.js'
import type { ClientPort } from '../ports.js'
import type { ExecutionState } from './activity.js'
import { Incarnation, type End } from './incarnation.js'
import type { GatewayKernelParts } from './kernel-parts.js'
import { nextPhase, takenUpAs, type KernelCue, type KernelPhase } from './lifecycle.js'
import { Mailbox } from './mailbox.js'
import { Past } from './past.js'
import { newestState, recollect } from './recollection.js'
import { dead, ended, goneAgain, notTakenUp, tooSlow } from './refusals.js'
import type { Turns } from './turns.js'

/** Whom a kernel's processes speak to. */
export interface Audience extends ClientPort {
  signer(): Signer
  /** Somebody is behind, and nothing more is to come for now. */
  held(): boolean
  /** Milliseconds since the epoch. */
  lastActivity(): number
  notice(what: 'restarted' | 'ended'): void
  /** Another state, in which no process is that would say so. */
  enter(state: ExecutionState): void
  /** It goes on as what it was. */
  resumed(): void
  /** Has clients know it. */
  say(state: ExecutionState): void
}

export class Lives {
  readonly past: Past
  readonly #parts: GatewayKernelParts
  readonly #audience: Audience
  #phase: KernelPhase = 'starting'
  #incarnation: Incarnation | null = null
  /** The incarnation before, if it was lost: the next one has what can be had of it. */
  #before: Lost | null = null
  /** For the next incarnation. */
  readonly #mailbox: Mailbox
  #starting: Promise<void> | null = null
  #restarting: Promise<void> | null = null
  #ending: Promise<void> | null = null
  /** All that ended incarnations had to keep is kept. */
  #stored: Promise<unknown> = Promise.resolve()
  #onIncarnationEnd: ((end: End) => void) | null = null
  /** What the journal says that the kernel was, until it goes on as that. */
  #recovered: Recovered | null = null
  /** Why the journal does not say it. */
  #unreadable: string | null = null

  constructor(parts: GatewayKernelParts, audience: Audience) {
    this.#parts = parts
    this.#audience = audience
    this.past = new Past(parts)
    this.#mailbox = new Mailbox(parts.kernelLimits.waitingMax)
    if (parts.recalled) this.#phase = parts.recalled.phase === 'dead' ? 'dead' : 'returning'
  }

  get phase(): KernelPhase {
    return this.#phase
  }

  /** The process that there is, or null. */
  get incarnation(): Incarnation | null {
    return this.#incarnation
  }

  /** Requests that wait for a process. */
  get waiting(): number {
    return this.#mailbox.size
  }

  /** The process that requests can be made of now. Throws `kernel_dead`, `kernel_restarting`. */
  present(): Incarnation {
    this.requireLife()
    if (this.#incarnation !== null && this.#phase === 'ready') return this.#incarnation
    throw new SavepointError('kernel_restarting', 'The kernel is starting. Ask again when it is ready.')
  }

  /** Throws `kernel_dead` if there will not be a process by itself. */
  requireLife(): void {
    if (this.#phase === 'dead') throw dead()
    this.requireNoEnd()
  }

  /** Throws `kernel_dead` if it has ended, or is about to. */
  requireNoEnd(): void {
    if (this.#phase === 'ending' || this.#phase === 'ended') throw ended()
  }

  /** Keeps what it is now for the gateway that comes after this one. */
  keep(): void {
    this.past.keep(this.#phase, this.#audience.lastActivity())
  }

  /** Resolves when its first worker is ready. Rejects with a SavepointError; then it has ended. */
  start(): Promise<void> {
    if (this.#phase === 'asleep') return this.wake()
    if (this.#phase === 'returning' && this.#starting === null) return Promise.reject(notTakenUp())
    this.#starting ??= this.#start()
    return this.#starting
  }

  /**
   * Goes on with what an earlier gateway has left, in its turn. `alive`: processes of that may still live. Resolves when
   * requests can be served. Never rejects.
   */
  takeUp(alive: boolean, turns: Turns, prepare: () => Promise<void>): Promise<void> {
    this.#starting ??= turns.take(async () => {
      // Whoever prepares looks at what was said.
      const { recovered, unreadable } = recollect(this.#parts)
      this.#recovered = recovered
      this.#unreadable = unreadable
      await prepare()
      const { clock, observe, needs, owner } = this.#parts
      const began = clock.now()
      await this.#takeUp(alive)
      const outcome = takenUpAs(this.#phase, recovered !== null && unreadable === null && alive)
      observe({ what: 'taken_up', kernel: needs.kernelId, owner, outcome, ms: clock.now() - began })
    })
    return this.#starting
  }

  /** A new process under the same id; resolves when it is ready. Who asks while it is being done waits with the first. */
  restart(): Promise<void> {
    if (this.#phase === 'ending' || this.#phase === 'ended') return Promise.reject(ended())
    // Nothing has happened in it yet.
    if (this.#phase === 'starting') return this.start()
    if (this.#phase === 'returning') return this.start().then(() => this.restart())
    this.#restarting ??= this.#restart().finally(() => {
      this.#restarting = null
    })
    return this.#restarting
  }

  /** Ends it, in order if that does not take too long. Never rejects. */
  shutdown(graceMs = this.#parts.kernelLimits.endGraceMs): Promise<void> {
    this.#ending ??= this.#shutdown(graceMs)
    return this.#ending
  }

  /** A client's message, for the incarnation of the time or the next one. */
  receive(channel: RequestChannel, client: Client, message: IncomingMessage): void {
    const { log, observe } = this.#parts
    if (this.#incarnation !== null && this.#onIncarnationEnd === null) this.#incarnation.send(channel, client, message)
    else if (this.#phase === 'dead') log('debug', 'message_to_dead_kernel', { kernel: this.#parts.needs.kernelId })
    else if (!this.#mailbox.put(channel, client, message)) {
      const type = message.header.msg_type.slice(0, 100)
      log('warn', 'message_dropped', { kernel: this.#parts.needs.kernelId, type })
      observe({ what: 'message_dropped', kernel: this.#parts.needs.kernelId, owner: this.#parts.owner, type })
    } else void this.wake()
  }

  /** A client takes back the cell that it sent with that msg_id. */
  withdraw(client: Client, id: string): void {
    if (this.#incarnation === null || this.#onIncarnationEnd !== null) this.#mailbox.withdraw(client, id)
    else this.#incarnation.deliver({ on: 'withdraw_cell', client, id })
  }

  /** Makes an incarnation, and waits until it is ready. One that was recovered goes on as what it was. */
  async #comeUp(): Promise<void> {
    const incarnation = this.#make()
    for (const event of this.#mailbox.take()) incarnation.deliver(event)
    const { clock, kernelLimits } = this.#parts
    const cancel = clock.after(kernelLimits.startMs, () => incarnation.abandon('lost', tooSlow(kernelLimits.startMs)))
    try {
      await incarnation.ready
    } finally {
      cancel()
    }
    if (this.#incarnation !== incarnation) throw goneAgain()
    this.#cue('up')
  }

  #make(): Incarnation {
    const { origin, ...parts } = this.#parts
    const audience = this.#audience
    const recovered = this.#recovered
    this.#recovered = null
    if (recovered) audience.resumed()
    const incarnation = new Incarnation({
      ...parts,
      // What follows its first process is as of any kernel: empty.
      ...(origin && this.#phase === 'starting' ? { origin } : {}),
      clients: audience,
      ...(recovered ? { recovered } : {}),
      generationsBefore: this.past.generations,
      lost: this.#before,
      signer: () => audience.signer(),
      onDeath: (cause, atRest) => this.#died(cause, atRest),
      onEnd: (end) => this.#incarnationEnded(incarnation, end),
    })
    this.#before = null
    this.#incarnation = incarnation
    this.#stored = Promise.all([this.#stored, incarnation.stored])
    if (audience.held()) incarnation.hold(true)
    return incarnation
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
    await this.present().op(CHECKPOINT_TARGET, { op: 'restore', checkpoint }, wishes)
  }

  /** What it was is not known: it goes on as after the loss of its process, with its newest checkpoint. */
  async #comeBackWithoutJournal(reason: string): Promise<void> {
    this.#before = await newestState(this.#parts)
    const why = `what it was could not be read after a restart of the gateway: ${reason}`
    this.#died({ code: null, signal: null, why }, false)
    this.#lost()
  }

  async #takeUp(alive: boolean): Promise<void> {
    if (this.#phase !== 'returning') return
    try {
      // Nothing of the one before is wanted any more.
      const isOver = this.#parts.recalled?.phase === 'restarting' || this.#recovered?.state.phase === 'dead'
      if (isOver) this.#recovered = null
      if (this.#unreadable !== null) await this.#comeBackWithoutJournal(this.#unreadable)
      else if (isOver) this.#replace()
      else if (alive && this.#recovered) await this.#comeUp()
      else if (alive) await this.#comeBackWithoutJournal('there is nothing')
      else {
        this.#cue('sleep')
        this.#audience.enter('idle')
        // Somebody has come already.
        if (this.#mailbox.size > 0) void this.wake()
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#parts.log('error', 'kernel_not_taken_up', { kernel: this.#parts.needs.kernelId, reason })
      // Unless what became of it has been seen to already.
      if (this.phase === 'returning') this.#lost()
    }
    await this.#restarting?.catch(() => {})
  }

  /** Comes back if it sleeps. Resolves when it is up or could not be brought up. Never rejects. */
  wake(): Promise<void> {
    if (this.#phase === 'asleep') {
      this.#cue('restart')
      this.#audience.enter('starting')
      this.#restarting = this.#comeBack().finally(() => {
        this.#restarting = null
      })
    }
    return this.#restarting?.catch(() => {}) ?? Promise.resolve()
  }

  /** Its process is gone: what that was asked is answered, and the next one begins with the newest checkpoint. */
  async #comeBack(): Promise<void> {
    const { clock, kernelLimits } = this.#parts
    if (this.#recovered) {
      const gone = this.#make()
      // Whoever asks from now on asks the next one.
      const ended = new Promise<unknown>((resolve) => (this.#onIncarnationEnd = resolve))
      const cancel = clock.after(kernelLimits.startMs, () => gone.abandon('lost'))
      await ended
      cancel()
    }
    this.#died({ code: null, signal: null, why: 'the machine or its Python ended while no gateway was there' }, false)
    await this.#next()
  }

  async #restart(): Promise<void> {
    this.#cue('restart')
    this.#before = null
    this.#audience.enter('restarting')
    await this.#endIncarnation(true, this.#parts.kernelLimits.restartGraceMs)
    await this.#next()
  }

  /** The incarnation that follows the one that has ended. */
  async #next(): Promise<void> {
    if (this.#phase !== 'restarting') throw ended()
    this.#audience.notice('restarted')
    this.#audience.enter('starting')
    try {
      await this.#comeUp()
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error))
      throw error
    }
  }

  #fail(reason: string): void {
    this.past.reason = reason
    if (this.#phase === 'ending' || this.#phase === 'ended') return
    this.#cue('fail')
    this.#audience.enter('dead')
    this.#mailbox.clear()
    this.#audience.say('dead')
  }

  async #shutdown(graceMs: number): Promise<void> {
    this.#cue('end')
    await this.#endIncarnation(false, graceMs)
    this.#cue('gone')
    this.#audience.enter('dead')
    this.#mailbox.clear()
    this.#audience.notice('ended')
    this.#parts.onEnded()
    await this.#stored
    this.#parts.records?.forget(this.#parts.needs.kernelId)
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
    this.past.generations = incarnation.facts.generation
    const { head, cellsSince: cells } = incarnation.facts
    if (end === 'lost') this.#before = { head, cells }
    this.#incarnation = null
    const awaited = this.#onIncarnationEnd
    this.#onIncarnationEnd = null
    if (awaited) {
      awaited(end)
      return
    }
    // While it starts, whoever waits for it hears of its end.
    if (this.#phase !== 'ready' && this.#phase !== 'returning') return
    if (end === 'end') void this.shutdown()
    else if (end === 'restart') this.#replace()
    else this.#lost()
  }

  /** Nobody wanted it to end. */
  #lost(): void {
    const { clock, kernelLimits } = this.#parts
    const { lossesMax, lossesWithinMs } = kernelLimits
    const times = this.past.lost(clock.date().getTime())
    this.#parts.log('error', 'kernel_lost', { kernel: this.#parts.needs.kernelId, times })
    if (times > lossesMax) {
      this.#fail(`It lost its Python process ${times} times within ${lossesWithinMs / 1000} s.`)
      return
    }
    this.#audience.say('restarting')
    this.#replace()
  }

  #replace(): void {
    this.#cue('restart')
    this.#audience.enter('restarting')
    this.#restarting ??= this.#next().finally(() => {
      this.#restarting = null
    })
    // It is logged, and clients are told by a status.
    this.#restarting.catch(() => {})
  }

  #died(cause: DeathCause, atRest: boolean): void {
    this.past.died(cause)
    this.keep()
    if (!atRest) return
    // Nobody would know that the variables are gone.
    this.#audience.say('restarting')
    this.#audience.enter('starting')
  }

  #cue(by: KernelCue): void {
    this.#phase = nextPhase(this.#phase, by)
    this.keep()
  }
}
