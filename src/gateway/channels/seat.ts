/**
 * One session of one kernel, which the kernel knows as one client: a cursor into the kernel's journal, which stays when
 * the session's WebSocket goes.
 *
 * As long as the WebSocket keeps up, messages go to it as they are published. Once too much waits for it they are let
 * be, and it gets them from the journal as it drains, until it has caught up; so does one that comes back. What it is
 * not known to have had it gets again: after a broken connection all that no pong came for, after a gateway that was
 * ended by force all that the operating system had not taken.
 */

import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import type { JournalMessage } from '../../host/journal/messages.js'
import type { Attachment, KernelClient } from '../../host/kernels/ports.js'
import type { Channel, IncomingMessage, RequestChannel } from '../../wire/message.js'
import type { GatewayKernel } from '../ports.js'
import type { Complain } from './compose.js'
import type { CursorSlot } from './cursors.js'
import type { ChannelsLimits } from './limits.js'
import type { Line } from './line.js'
import { playback, type Playback } from './playback.js'

/** A client that says nothing counts as one that comes for the first time for so long. */
const NEW_FOR_MS = 10_000

/** A WebSocket that is opened again within this time was not gone; after the gateway was, everybody needs longer. */
const GONE_MS = 5_000
const GONE_AFTER_RESTART_MS = 60_000

/** What is read of the journal at a time, and how much of it waits for a client. */
const READ_BYTES = 262_144
const FEED_BYTES = 1_048_576
/** Reading that leads to nothing for this client makes room for others so often. */
const SCAN_BYTES = 4_194_304
/** Messages that end their connection each time are not sent for ever. */
const ATTEMPTS_MAX = 3

export interface SeatOptions {
  readonly kernel: GatewayKernel
  /** By which the kernel knows it. */
  readonly key: string
  readonly limits: ChannelsLimits
  readonly clock: Clock
  readonly complain: Complain
  /** Where its cursor is kept; null: nobody can come back for what it has not had. */
  readonly slot: CursorSlot | null
  /** Whether nobody is left who would answer what was put to that session. */
  readonly isGone: (key: string) => boolean
  /** Its client came too late for so many. */
  onMissed?(messages: number): void
  /** It is over: the kernel has ended, or nobody came back. */
  onOver(): void
}

export class Seat implements KernelClient {
  readonly #options: SeatOptions
  readonly #attachment: Attachment
  readonly #beganAt: number
  /** Number of the newest message when it came for the first time. */
  readonly #began: number
  #line: Line | null = null
  #spoken: boolean
  #over = false
  #gone = false
  /** Up to where messages were sent to the present WebSocket, were taken by the operating system, and have arrived. */
  #sent: number
  #taken: number
  #arrived: number
  #silent = false
  /** What is sent is the newest: nothing is read from the journal. */
  #live = false
  #playback: Playback | null = null
  /** How often it came back to the same place, and up to where it had been sent messages then. */
  #attempts = { at: -1, count: 0, sent: 0 }
  #cancelExpiry: (() => void) | null = null
  #cancelGone: (() => void) | null = null
  #cancelNewness: (() => void) | null = null
  /** When its WebSocket went, in milliseconds since the epoch; null: it has one. */
  #awaySince: number | null = null

  /** Throws what the kernel throws when it cannot be attached to. */
  constructor(options: SeatOptions) {
    this.#options = options
    const { kernel, key, clock, slot } = options
    const { newest } = kernel.journal
    const before = slot?.before ?? null
    this.#began = Math.min(before?.began ?? newest, newest)
    this.#sent = Math.min(before?.seq ?? newest, newest)
    this.#taken = this.#sent
    this.#arrived = this.#sent
    this.#spoken = before?.isNew === false
    this.#beganAt = clock.now()
    this.#attachment = kernel.attach(this, { leaves: true, key })
    if (this.#over) throw new SavepointError('kernel_dead', 'The kernel has ended.')
    if (before !== null) this.#waitForReturn(this.#keptMs(before.awaySince), GONE_AFTER_RESTART_MS)
    else if (slot !== null) this.#cancelNewness = clock.after(NEW_FOR_MS, () => this.#note())
  }

  get away(): boolean {
    return this.#line === null
  }

  /** Nobody has come back for it in time. */
  get gone(): boolean {
    return this.#gone
  }

  publish(_topic: string, frames: readonly Buffer[], seq: number): void {
    this.#deliver('iopub', frames, seq)
  }

  reply(channel: RequestChannel, _routing: readonly Buffer[], frames: readonly Buffer[], seq: number): void {
    this.#deliver(channel, frames, seq)
  }

  notice(what: 'restarted' | 'ended'): void {
    if (what === 'ended') this.#end(1000, 'The kernel has ended.')
  }

  send(channel: RequestChannel, message: IncomingMessage): void {
    if (!this.#spoken) {
      this.#spoken = true
      this.#note()
    }
    this.#attachment.send(channel, message)
  }

  /**
   * Takes the place of an older WebSocket of the same session, and gets what that one has not had. `replay`: `none` of
   * it, `all` that there is, or what came after the message with this id.
   */
  sit(line: Line, replay: string | null): void {
    const stale = this.#line
    this.#line = line
    this.#live = false
    this.#silent = false
    this.#gone = false
    this.#awaySince = null
    this.#cancelExpiry?.()
    this.#cancelExpiry = null
    this.#cancelGone?.()
    stale?.close(1000, 'A newer connection of the same session has taken over.')
    const { journal } = this.#options.kernel
    const isNew = this.#isNew()
    const goOnAt = isNew ? this.#began : this.#goOnAt()
    const { isGone } = this.#options
    this.#playback = playback(journal, { replay, isNew, goOnAt, isGone, key: this.#options.key })
    this.#sent = this.#playback.from
    this.#taken = this.#sent
    this.#arrived = this.#sent
    this.#feed(line)
    this.#note()
  }

  /** Only for this client, and only now. */
  complain(text: string): void {
    this.#line?.tell(this.#options.complain(text), this.#sent)
  }

  taken(line: Line, mark: number): void {
    if (line !== this.#line) return
    this.#taken = mark
    this.#note()
  }

  arrived(line: Line, mark: number): void {
    if (line !== this.#line) return
    this.#arrived = mark
    if (this.#silent) this.#note()
  }

  silent(line: Line, silent: boolean): void {
    if (line !== this.#line) return
    this.#silent = silent
    this.#note()
  }

  /** What waited for the WebSocket has been taken. */
  hasRoom(line: Line): void {
    if (line === this.#line) this.#feed(line)
  }

  /** The WebSocket has ended. */
  leave(line: Line): void {
    if (line !== this.#line) return
    this.#line = null
    this.#awaySince = this.#options.clock.date().getTime()
    this.#note()
    if (this.#options.slot === null) return this.#end(1000, '')
    this.#waitForReturn(this.#options.limits.keptMs, GONE_MS)
  }

  /** Nobody waits for it any more, and a WebSocket that is still there is closed. */
  end(code: number, reason: string): void {
    this.#end(code, reason)
  }

  /** The gateway goes: the next one finds the cursor. */
  part(): void {
    this.#note()
    this.#stop(false)
  }

  #waitForReturn(keptMs: number, goneMs: number): void {
    const { clock } = this.#options
    this.#cancelExpiry = clock.after(keptMs, () => this.#end(1000, ''))
    this.#cancelGone = clock.after(goneMs, () => {
      this.#gone = true
      this.#attachment.gone()
    })
  }

  /**
   * JupyterLab opens a WebSocket twice at its start, and what the first one got is lost, even if a Jupyter server between
   * us has taken it: nobody has had anything until somebody has spoken. Who only listens is new for a while.
   */
  #isNew(): boolean {
    return !this.#spoken && this.#options.clock.now() - this.#beganAt < NEW_FOR_MS
  }

  /** The message after which it goes on: all before it has arrived, or was sent in vain too often. */
  #goOnAt(): number {
    const at = this.#arrived
    const { count, sent } = this.#attempts.at === at ? this.#attempts : { count: 0, sent: Infinity }
    this.#attempts = { at, count: count + 1, sent: Math.min(sent, this.#sent) }
    return count < ATTEMPTS_MAX ? at : this.#attempts.sent
  }

  #deliver(channel: Channel, frames: readonly Buffer[], seq: number): void {
    const line = this.#line
    // What is not sent now stands in the journal.
    if (line === null || !this.#live || seq <= this.#sent) return
    if (line.waitingBytes > this.#options.limits.waitingBytesMax) {
      this.#live = false
      line.awaitRoom()
      return
    }
    this.#sent = seq
    line.send(channel, frames, seq)
  }

  /** Sends what the journal has for it, until enough waits or there is no more. */
  #feed(line: Line): void {
    const { journal } = this.#options.kernel
    let scanned = 0
    while (!this.#live && !this.#over) {
      if (line.waitingBytes >= FEED_BYTES) return line.awaitRoom()
      if (scanned >= SCAN_BYTES) {
        setImmediate(() => this.hasRoom(line))
        return
      }
      const messages = journal.since(this.#sent, READ_BYTES)
      this.#live = messages.length === 0
      for (const message of messages) scanned += this.#replay(line, message)
      this.#endPlayback(line)
    }
  }

  /** Returns its size. */
  #replay(line: Line, message: JournalMessage): number {
    this.#tellOfLoss(line, message.seq)
    this.#sent = message.seq
    const isWanted = this.#playback === null ? this.#isMine(message) : this.#playback.takes(message)
    if (isWanted) line.send(message.channel, message.frames, message.seq)
    return message.frames.reduce((sum, { length }) => sum + length, 0)
  }

  #isMine({ to }: JournalMessage): boolean {
    return to === null || to === this.#options.key
  }

  #endPlayback(line: Line): void {
    if (this.#playback === null || (!this.#live && this.#sent < this.#playback.upTo)) return
    for (const { channel, frames } of this.#playback.questions()) line.send(channel, frames, this.#sent)
    this.#playback = null
  }

  /** `next`: the first message after those that were sent which is still there. */
  #tellOfLoss(line: Line, next: number): void {
    const messages = next - 1 - Math.max(this.#sent, this.#playback?.dueFrom ?? 0)
    if (messages <= 0) return
    this.#options.onMissed?.(messages)
    line.tell(this.#options.complain(lossText(messages)), this.#sent)
  }

  /** Keeps how far it has got. */
  #note(): void {
    const { slot } = this.#options
    // What is on its way does not arrive any more once its connection is broken, and may not if nobody answers.
    const seq = this.#line === null || this.#silent ? this.#arrived : this.#taken
    slot?.set({ seq, began: this.#began, isNew: this.#isNew(), awaySince: this.#awaySince })
  }

  /** How long it is still waited for; one whose WebSocket ended with the gateway, from now on. */
  #keptMs(awaySince: number | null): number {
    const { clock, limits } = this.#options
    const awayMs = awaySince === null ? 0 : Math.max(0, clock.date().getTime() - awaySince)
    return Math.max(0, limits.keptMs - awayMs)
  }

  #end(code: number, reason: string): void {
    if (this.#over) return
    this.#options.slot?.free()
    this.#line?.close(code, reason)
    this.#stop(true)
  }

  #stop(isGone: boolean): void {
    if (this.#over) return
    this.#over = true
    this.#cancelExpiry?.()
    this.#cancelGone?.()
    this.#cancelNewness?.()
    this.#line = null
    // Absent if the kernel ends while we attach to it.
    ;(this.#attachment as Attachment | undefined)?.detach(isGone)
    this.#options.onOver()
  }
}

function lossText(messages: number): string {
  return (
    `Savepoint: ${messages} messages of this kernel are not kept any more. They came while nobody was connected, or ` +
    'faster than this client reads.'
  )
}
