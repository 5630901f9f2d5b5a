/**
 * The WebSockets of all kernels: each is joined to its session of its kernel, and refused messages are told to their
 * sender and to nobody else.
 */

import { randomUUID } from 'node:crypto'
import type { WebSocket } from 'ws'
import { systemClock } from '../../clock.js'
import type { Clock } from '../../clock.js'
import type { SavepointError } from '../../errors.js'
import type { Log } from '../../log.js'
import type { Received } from '../../wire/websocket.js'
import type { Gate } from '../auth/gate.js'
import type { Channels, ChannelsOpening, GatewayKernel } from '../ports.js'
import { createComplain } from './compose.js'
import type { Complain } from './compose.js'
import { dialectOf } from './dialect.js'
import { Journal } from './journal.js'
import { KeptTotal } from './kept.js'
import { channelsLimits } from './limits.js'
import type { ChannelsLimits } from './limits.js'
import { Line } from './line.js'
import { Seat } from './seat.js'

export interface ChannelsOptions {
  readonly log: Log
  readonly gate: Pick<Gate, 'watch'>
  readonly limits?: Partial<ChannelsLimits>
  readonly clock?: Clock
}

export function createChannels(options: ChannelsOptions): Channels {
  return new KernelChannels(options)
}

class KernelChannels implements Channels {
  readonly #log: Log
  readonly #gate: Pick<Gate, 'watch'>
  readonly #limits: ChannelsLimits
  readonly #clock: Clock
  readonly #complain: Complain
  readonly #total: KeptTotal
  readonly #journalTotal: KeptTotal
  /** Sessions of whose missing channels the log has told. */
  readonly #withoutChannel = new WeakSet<Seat>()
  readonly #seats = new Map<string, Seat>()
  readonly #journals = new Map<string, Journal>()
  readonly #sockets = new Map<WebSocket, Line>()

  constructor({ log, gate, limits, clock = systemClock }: ChannelsOptions) {
    this.#log = log
    this.#gate = gate
    this.#limits = { ...channelsLimits, ...limits }
    this.#clock = clock
    this.#complain = createComplain(clock)
    this.#total = new KeptTotal(this.#limits.keptTotalBytesMax)
    this.#journalTotal = new KeptTotal(this.#limits.journalTotalBytesMax)
  }

  watch(kernel: GatewayKernel): void {
    try {
      this.#journalOf(kernel)
    } catch (error) {
      this.#log('warn', 'kernel_not_attached', { kernel: kernel.id, why: String(error) })
    }
  }

  open(socket: WebSocket, opening: ChannelsOpening): void {
    const seat = this.#seatFor(socket, opening)
    if (seat === null) return
    const { kernel, principal, subprotocol, userAgent, replay, stream } = opening
    const dialect = dialectOf(subprotocol, userAgent, this.#complain)
    const line = new Line(socket, {
      dialect,
      limits: this.#limits,
      clock: this.#clock,
      stream,
      onMessage: (received) => this.#forward(kernel.id, seat, received),
      onRefused: (error) => this.#refuse(kernel.id, seat, error),
      onArrived: (mark) => seat.arrived(line, mark),
      onBehind: (behind) => seat.behind(behind),
      onCutOff: () => this.#log('warn', 'client_cut_off', { kernel: kernel.id }),
      onEnd: (why) => {
        this.#sockets.delete(socket)
        forgetToken()
        this.#log('debug', 'websocket_closed', { kernel: kernel.id, why })
        seat.leave(line)
      },
    })
    const forgetToken = this.#gate.watch(principal, (ended) => {
      const why = ended === 'expired' ? 'The token has expired.' : 'The token was revoked.'
      seat.complain(`Savepoint: ${why} Sign in again to go on.`)
      line.close(1008, why)
    })
    this.#sockets.set(socket, line)
    this.#log('debug', 'websocket_opened', { kernel: kernel.id, framing: dialect.name })
    seat.sit(line, replay)
  }

  count(): number {
    return this.#sockets.size
  }

  async closeAll(code: number, reason: string): Promise<void> {
    const closed = [...this.#sockets].map(([socket, line]) => {
      const done = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      line.close(code, reason)
      return done
    })
    await Promise.all(closed)
    for (const seat of [...this.#seats.values()]) seat.end(code, reason)
    for (const journal of this.#journals.values()) journal.end()
    this.#journals.clear()
  }

  /** The session's place at the kernel: the one it has, or a new one. null: there is none, and the socket is closed. */
  #seatFor(socket: WebSocket, { kernel, principal, sessionId }: ChannelsOpening): Seat | null {
    if (sessionId === null || sessionId === '') {
      this.#log('warn', 'websocket_without_session_id', { kernel: kernel.id })
    }
    // What is kept for one owner is nothing for another who names the same session.
    const key = [kernel.id, principal.subject, sessionId || randomUUID()].join('\n')
    const there = this.#seats.get(key)
    if (there !== undefined) return there
    try {
      const seat = new Seat({
        kernel,
        limits: this.#limits,
        clock: this.#clock,
        total: this.#total,
        journal: this.#journalOf(kernel),
        complain: this.#complain,
        returns: Boolean(sessionId),
        onOver: () => this.#seats.delete(key),
      })
      this.#seats.set(key, seat)
      this.#leaveRoom(kernel.id)
      return seat
    } catch (error) {
      this.#log('warn', 'kernel_not_attached', { kernel: kernel.id, why: String(error) })
      socket.on('error', () => {})
      socket.close(1011, 'The kernel cannot be reached.')
      return null
    }
  }

  #journalOf(kernel: GatewayKernel): Journal {
    const there = this.#journals.get(kernel.id)
    if (there !== undefined) return there
    const { journalBytesMax, journalMessagesMax } = this.#limits
    const limits = { keptBytesMax: journalBytesMax, keptMessagesMax: journalMessagesMax }
    const journal = new Journal(kernel, limits, this.#journalTotal, () => {
      this.#journals.delete(kernel.id)
      journal.end()
    })
    this.#journals.set(kernel.id, journal)
    return journal
  }

  /** Sessions that went away and never came back make room for new ones, the oldest first. */
  #leaveRoom(kernelId: string): void {
    const away = [...this.#seats].filter(([key, seat]) => seat.away && key.startsWith(`${kernelId}\n`))
    // The newest is the one that is being taken.
    for (const [, seat] of away.slice(0, Math.max(0, away.length - 1 - this.#limits.keptSessionsMax))) {
      seat.end(1000, '')
    }
  }

  #forward(kernelId: string, seat: Seat, { channel, message, channelMissing }: Received): void {
    if (channelMissing && !this.#withoutChannel.has(seat)) {
      // Some clients never say a channel: once is enough.
      this.#withoutChannel.add(seat)
      this.#log('warn', 'channel_missing', { kernel: kernelId, taken: channel })
    }
    try {
      seat.send(channel, message)
    } catch (error) {
      // A fault of ours must not end the connection of somebody who did nothing wrong.
      this.#log('error', 'request_failed', { kernel: kernelId, why: String(error) })
    }
  }

  #refuse(kernelId: string, seat: Seat, { code, message }: SavepointError): void {
    this.#log('warn', 'message_refused', { kernel: kernelId, code })
    seat.complain(`Savepoint refused a message. ${message}`)
  }
}
