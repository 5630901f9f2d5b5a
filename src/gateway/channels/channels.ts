/**
 * The WebSockets of all kernels: each is joined to its session of its kernel, and refused messages are told to their
 * sender and to nobody else.
 */

import type { WebSocket } from 'ws'
import { systemClock } from '../../clock.js'
import type { Clock } from '../../clock.js'
import type { SavepointError } from '../../errors.js'
import type { Log } from '../../log.js'
import { asking, unobserved, type Observe } from '../../observe.js'
import type { Received } from '../../wire/websocket.js'
import type { Gate } from '../auth/gate.js'
import type { Channels, ChannelsOpening, GatewayKernel } from '../ports.js'
import { createComplain } from './compose.js'
import type { Complain } from './compose.js'
import { dialectOf } from './dialect.js'
import { channelsLimits } from './limits.js'
import type { ChannelsLimits } from './limits.js'
import { Line } from './line.js'
import type { Seat } from './seat.js'
import { Seats } from './seats.js'

export interface ChannelsOptions {
  readonly log: Log
  readonly gate: Pick<Gate, 'watch'>
  readonly limits?: Partial<ChannelsLimits>
  readonly clock?: Clock
  readonly observe?: Observe
}

export function createChannels(options: ChannelsOptions): Channels {
  return new KernelChannels(options)
}

class KernelChannels implements Channels {
  readonly #log: Log
  readonly #gate: Pick<Gate, 'watch'>
  readonly #limits: ChannelsLimits
  readonly #clock: Clock
  readonly #observe: Observe
  readonly #complain: Complain
  /** Sessions of whose missing channels the log has told. */
  readonly #withoutChannel = new WeakSet<Seat>()
  /** By kernel. */
  readonly #seats = new Map<string, Seats>()
  readonly #sockets = new Map<WebSocket, Line>()

  constructor({ log, gate, limits, clock = systemClock, observe = unobserved }: ChannelsOptions) {
    this.#log = log
    this.#gate = gate
    this.#limits = { ...channelsLimits, ...limits }
    this.#clock = clock
    this.#observe = observe
    this.#complain = createComplain(clock)
  }

  takeUp(kernel: GatewayKernel): void {
    // One that sleeps is not woken by those who are away.
    if (kernel.folder === null || kernel.phase === 'asleep') return
    try {
      this.#seatsOf(kernel).rest()
    } catch (error) {
      this.#log('warn', 'kernel_not_attached', { kernel: kernel.id, why: String(error) })
    }
  }

  open(socket: WebSocket, opening: ChannelsOpening): void {
    const seat = this.#seatFor(socket, opening)
    if (seat === null) return
    const { kernel, principal, asker, subprotocol, userAgent, replay, stream } = opening
    const dialect = dialectOf(subprotocol, userAgent, this.#complain)
    const told = { kernel: kernel.id, owner: kernel.owner, asker, session: opening.sessionId?.slice(0, 200) ?? null }
    const line = new Line(socket, {
      dialect,
      limits: this.#limits,
      clock: this.#clock,
      stream,
      onMessage: (received) => asking.run(asker, () => this.#forward(kernel.id, seat, received)),
      onRefused: (error) => this.#refuse(kernel.id, seat, error),
      onTaken: (mark) => seat.taken(line, mark),
      onArrived: (mark) => seat.arrived(line, mark),
      onSilent: (silent) => seat.silent(line, silent),
      onRoom: () => seat.hasRoom(line),
      onCutOff: () => this.#log('warn', 'client_cut_off', { kernel: kernel.id }),
      onEnd: (why) => {
        this.#sockets.delete(socket)
        forgetToken()
        this.#log('debug', 'websocket_closed', { kernel: kernel.id, request: asker.request, why })
        this.#observe({ what: 'disconnected', ...told })
        seat.leave(line)
      },
    })
    const forgetToken = this.#gate.watch(principal, (ended) => {
      const why = ended === 'expired' ? 'The token has expired.' : 'The token was revoked.'
      seat.complain(`Savepoint: ${why} Sign in again to go on.`)
      line.close(1008, why)
    })
    this.#sockets.set(socket, line)
    this.#log('debug', 'websocket_opened', { kernel: kernel.id, request: asker.request, framing: dialect.name })
    this.#observe({ what: 'connected', ...told })
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
    for (const seats of [...this.#seats.values()]) seats.part()
  }

  /** The session's place at the kernel: the one it has, or a new one. null: there is none, and the socket is closed. */
  #seatFor(socket: WebSocket, { kernel, principal, sessionId }: ChannelsOpening): Seat | null {
    if (sessionId === null || sessionId === '') {
      this.#log('warn', 'websocket_without_session_id', { kernel: kernel.id })
    }
    try {
      return this.#seatsOf(kernel).seatOf(principal.subject, sessionId)
    } catch (error) {
      this.#seats.get(kernel.id)?.rest()
      this.#log('warn', 'kernel_not_attached', { kernel: kernel.id, why: String(error) })
      socket.on('error', () => {})
      socket.close(1011, 'The kernel cannot be reached.')
      return null
    }
  }

  #seatsOf(kernel: GatewayKernel): Seats {
    const there = this.#seats.get(kernel.id)
    if (there?.isOf(kernel) === true) return there
    const parts = {
      log: this.#log,
      limits: this.#limits,
      clock: this.#clock,
      complain: this.#complain,
      observe: this.#observe,
    }
    const seats: Seats = new Seats(kernel, parts, () => {
      if (this.#seats.get(kernel.id) === seats) this.#seats.delete(kernel.id)
    })
    this.#seats.set(kernel.id, seats)
    return seats
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
