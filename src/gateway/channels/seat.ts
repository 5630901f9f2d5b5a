/**
 * One session of one kernel, which the kernel knows as one client: it stays when its WebSocket goes, keeps what comes
 * meanwhile, and hands it to the next WebSocket of the same session.
 */

import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import type { Attachment, KernelClient } from '../../host/kernels/ports.js'
import type { Channel, IncomingMessage, RequestChannel } from '../../wire/message.js'
import type { GatewayKernel } from '../ports.js'
import type { Complain } from './compose.js'
import type { Journal } from './journal.js'
import { Kept } from './kept.js'
import type { KeptMessage, KeptTotal } from './kept.js'
import type { ChannelsLimits } from './limits.js'
import type { Line } from './line.js'

/** A client that says nothing counts as one that comes for the first time for so long. */
const NEW_FOR_MS = 10_000

/** A WebSocket that is opened again within this time was not gone. */
const GONE_MS = 5_000

export interface SeatOptions {
  readonly kernel: GatewayKernel
  readonly limits: ChannelsLimits
  readonly clock: Clock
  readonly total: KeptTotal
  readonly journal: Journal
  readonly complain: Complain
  /** Whether anybody can come back for what is kept. */
  readonly returns: boolean
  /** It is over: the kernel has ended, or nobody came back. */
  onOver(): void
}

export class Seat implements KernelClient {
  readonly #options: SeatOptions
  readonly #kept: Kept
  readonly #attachment: Attachment
  readonly #beganAt: number
  #line: Line | null = null
  #spoken = false
  #over = false
  #cancelExpiry: (() => void) | null = null
  #cancelGone: (() => void) | null = null

  /** Throws what the kernel throws when it cannot be attached to. */
  constructor(options: SeatOptions) {
    this.#options = options
    this.#kept = new Kept(options.limits, options.total)
    this.#beganAt = options.clock.now()
    this.#attachment = options.kernel.attach(this, { leaves: true })
    if (this.#over) throw new SavepointError('kernel_dead', 'The kernel has ended.')
  }

  get away(): boolean {
    return this.#line === null
  }

  publish(_topic: string, frames: readonly Buffer[]): void {
    this.#deliver('iopub', frames)
  }

  reply(channel: RequestChannel, _routing: readonly Buffer[], frames: readonly Buffer[]): void {
    this.#deliver(channel, frames)
  }

  notice(what: 'restarted' | 'ended'): void {
    if (what === 'ended') this.#end(1000, 'The kernel has ended.')
  }

  send(channel: RequestChannel, message: IncomingMessage): void {
    this.#spoken = true
    this.#attachment.send(channel, message)
  }

  behind(is: boolean): void {
    if (this.#over) return
    if (is) this.#attachment.fallenBehind()
    else this.#attachment.caughtUp()
  }

  /**
   * Takes the place of an older WebSocket of the same session, and gets what that one has not had. `replay`: `none` of
   * it, `all` that there is, or what came after the message with this id.
   */
  sit(line: Line, replay: string | null): void {
    const stale = this.#line
    const isFirst = this.#kept.newest === 0 && stale === null
    this.#line = line
    this.#cancelExpiry?.()
    this.#cancelExpiry = null
    this.#cancelGone?.()
    stale?.close(1000, 'A newer connection of the same session has taken over.')
    if (replay === 'none') {
      this.#kept.clear()
      return
    }
    const { journal } = this.#options
    const { messages, bytes } = this.#kept.dropped
    if (messages > 0) {
      line.send('iopub', this.#options.complain(lossText(messages, bytes)), 0)
    }
    if (replay === null && (isFirst || this.#isNew())) return this.#begin(line)
    const missed = this.#kept.replay()
    if (replay === null) return this.#repeat(line, missed)
    // The journal has the publications, and more of them.
    this.#repeat(line, journal.after(replay === 'all' ? null : replay))
    this.#repeat(
      line,
      missed.filter(({ channel }) => channel !== 'iopub'),
    )
  }

  /** Only for this client, and only now. */
  complain(text: string): void {
    this.#line?.send('iopub', this.#options.complain(text), this.#kept.newest)
  }

  arrived(line: Line, mark: number): void {
    if (line === this.#line) this.#kept.confirm(mark)
  }

  /** The WebSocket has ended. */
  leave(line: Line): void {
    if (line !== this.#line) return
    this.#line = null
    if (!this.#options.returns) return this.#end(1000, '')
    const { clock, limits } = this.#options
    this.#cancelExpiry = clock.after(limits.keptMs, () => this.#end(1000, ''))
    this.#cancelGone = clock.after(GONE_MS, () => this.#attachment.gone())
  }

  /** Nothing is kept any more, and a WebSocket that is still there is closed. */
  end(code: number, reason: string): void {
    this.#end(code, reason)
  }

  /**
   * JupyterLab opens a WebSocket twice at its start, and what the first one got is lost, even if a Jupyter server between
   * us has taken it: nobody has had anything until somebody has spoken. Who only listens is new for a while.
   */
  #isNew(): boolean {
    return !this.#spoken && this.#options.clock.now() - this.#beganAt < NEW_FOR_MS
  }

  /** Hands over what belongs to the cells that are running, and what came since for an earlier WebSocket. */
  #begin(line: Line): void {
    const running = this.#options.journal.ofRunning()
    const known = new Set(running.map(({ frames }) => frames))
    const missed = this.#kept.replay().filter(({ frames }) => !known.has(frames))
    this.#kept.clear()
    for (const { channel, frames } of [...running, ...missed]) {
      if (saysRestarting(frames)) continue
      // Kept like what comes now, for it may get lost as well.
      this.#kept.add(channel, frames)
      line.send(channel, frames, this.#kept.newest)
    }
  }

  #repeat(line: Line, messages: readonly KeptMessage[]): void {
    for (const { channel, frames } of messages) {
      if (!saysRestarting(frames)) line.send(channel, frames, this.#kept.newest)
    }
  }

  #deliver(channel: Channel, frames: readonly Buffer[]): void {
    if (this.#over) return
    this.#kept.add(channel, frames)
    this.#line?.send(channel, frames, this.#kept.newest)
  }

  #end(code: number, reason: string): void {
    if (this.#over) return
    this.#over = true
    this.#cancelExpiry?.()
    this.#cancelGone?.()
    this.#kept.clear()
    this.#line?.close(code, reason)
    this.#line = null
    // Absent if the kernel ends while we attach to it.
    ;(this.#attachment as Attachment | undefined)?.detach()
    this.#options.onOver()
  }
}

function lossText(messages: number, bytes: number): string {
  return `Savepoint: ${messages} messages (${bytes} bytes) of output came while nobody was connected, and could not be kept.`
}

const STATUS = Buffer.from('"restarting"')

/** A client answers this state by opening a new connection: with it replayed there, it would never end. */
function saysRestarting(frames: readonly Buffer[]): boolean {
  const content = frames[5]
  return content !== undefined && content.length < 200 && content.includes(STATUS)
}
