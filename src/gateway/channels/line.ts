/**
 * One WebSocket: frames out and in, its pings, and its end.
 *
 * Messages of one turn of the event loop leave together, in one write, and at once (ws turns Nagle's algorithm off). A
 * ping follows what was sent, and its pong tells that everything before it has arrived.
 *
 * A client that reads more slowly than the kernel writes holds the kernel up, as long as it does read; one that takes
 * next to nothing for a second is cut off.
 */

import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import type { Channel } from '../../wire/message.js'
import type { Received } from '../../wire/websocket.js'
import type { Dialect } from './dialect.js'
import type { ChannelsLimits } from './limits.js'
import { createPace } from './pace.js'
import type { Pace } from './pace.js'

export interface LineOptions {
  readonly dialect: Dialect
  readonly limits: ChannelsLimits
  readonly clock: Clock
  /** What the WebSocket is on. Messages are written to it as frames; everything else is left to `ws`. */
  readonly stream: Duplex
  onMessage(received: Received): void
  /** The message was no good, or was too large; the connection goes on. */
  onRefused(error: SavepointError): void
  /** Everything that had this mark or an earlier one has arrived. */
  onArrived(mark: number): void
  /** The kernel has to wait for this client; and need not any more. */
  onBehind(behind: boolean): void
  /** It reads too little: it is about to be closed. */
  onCutOff(): void
  onEnd(why: string): void
}

const { OPEN } = WebSocket
/** The least pause between two questions whether everything has arrived; the first one goes out with the messages. */
const CONFIRM_MS = 10
/** Pings without an answer after which the other side counts as gone. */
const PINGS_UNANSWERED_MAX = 3
const SILENCE_MS_MIN = 30_000
const BEHIND_POLL_MS = 20
const BEHIND_WINDOW_MS = 1_000
/** What a client takes at least in that time, if it reads at all. */
const BEHIND_BYTES_MIN = 1_048_576
/** From our close frame to its answer; a client that does not read may have been stopped for a while. */
const CLOSE_MS = 3_000
const CUT_OFF_MS = 30_000
/** RFC 6455: 125 bytes, two of them the code. */
const REASON_BYTES_MAX = 123

export class Line {
  readonly #socket: WebSocket
  readonly #options: LineOptions
  readonly #pace: Pace
  #open = true
  #inTurn = false
  /** Mark of the newest message, and of the last ping for which no pong came yet (null: none is out). */
  #mark = 0
  #asked: number | null = null
  #askedAt = -Infinity
  #cancelConfirm: (() => void) | null = null
  #cancelPing: (() => void) | null = null
  #cancelBehind: (() => void) | null = null
  #heardAt: number
  #writtenBytes = 0
  /** The largest message of those that may still wait. */
  #largestBytes = 0

  constructor(socket: WebSocket, options: LineOptions) {
    this.#socket = socket
    this.#options = options
    this.#heardAt = options.clock.now()
    this.#pace = createPace(options.limits.messagesPerS, options.clock, {
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    })
    socket.on('message', (data, binary) => this.#received(data as Buffer, binary))
    socket.on('pong', (data: Buffer) => this.#ponged(data))
    // What follows an error is always a close.
    socket.on('error', () => {})
    socket.on('close', (code) => this.#ended(`closed with ${code}`))
    this.#schedulePing()
  }

  /** `mark` is handed back when this and everything before it has arrived. */
  send(channel: Channel, sealed: readonly Buffer[], mark: number): void {
    // Once the other side has sent its close frame, nothing may follow ours, which answers it.
    if (!this.#open || this.#socket.readyState !== OPEN) return
    // One message may be larger than all that may wait.
    if (this.#socket.bufferedAmount > this.#options.limits.waitingBytesMax + this.#largestBytes) return this.#cutOff()
    this.#beginTurn()
    if (this.#socket.bufferedAmount === 0) this.#largestBytes = 0
    for (const { pieces, bytes } of this.#options.dialect.encode(channel, sealed)) {
      this.#writtenBytes += bytes
      this.#largestBytes = Math.max(this.#largestBytes, bytes)
      for (const piece of pieces) this.#options.stream.write(piece)
    }
    this.#mark = mark
    if (this.#cancelBehind === null && this.#socket.bufferedAmount > this.#options.limits.waitingBytesMax / 2) {
      this.#fallBehind()
    }
  }

  /** Nothing is sent or received after this; the other side gets a few seconds to answer, and none if asked again. */
  close(code: number, reason: string, withinMs = CLOSE_MS): void {
    if (!this.#open) return this.#socket.terminate()
    this.#stop()
    this.#socket.resume()
    this.#socket.close(code, shortened(reason))
    const cancel = this.#options.clock.after(withinMs, () => this.#socket.terminate())
    this.#socket.once('close', cancel)
  }

  #received(data: Buffer, binary: boolean): void {
    if (!this.#open) return
    this.#heardAt = this.#options.clock.now()
    this.#pace.count()
    let received: Received
    try {
      received = this.#options.dialect.decode(data, binary)
    } catch (error) {
      if (!(error instanceof SavepointError)) throw error
      this.#options.onRefused(error)
      if (error.code === 'WIRE_BAD_FRAME')
        this.close(binary || this.#options.dialect.name !== 'v1' ? 1007 : 1003, error.message)
      return
    }
    this.#options.onMessage(received)
  }

  /** What is sent until this turn of the event loop ends leaves in one write, with a ping behind it. */
  #beginTurn(): void {
    if (this.#inTurn) return
    this.#inTurn = true
    const { stream } = this.#options
    stream.cork()
    process.nextTick(() => {
      this.#inTurn = false
      if (this.#open) this.#confirm()
      stream.uncork()
    })
  }

  #confirm(): void {
    if (this.#asked !== null || this.#cancelConfirm !== null) return
    const pause = this.#askedAt + CONFIRM_MS - this.#options.clock.now()
    if (pause <= 0) return this.#ping()
    this.#cancelConfirm = this.#options.clock.after(pause, () => {
      this.#cancelConfirm = null
      if (this.#asked === null) this.#ping()
    })
  }

  #ping(): void {
    this.#asked = this.#mark
    this.#askedAt = this.#options.clock.now()
    this.#socket.ping(String(this.#mark))
  }

  #ponged(data: Buffer): void {
    this.#heardAt = this.#options.clock.now()
    const mark = Number(data.toString('latin1'))
    if (!Number.isSafeInteger(mark) || this.#asked === null || mark > this.#asked) return
    this.#options.onArrived(mark)
    if (mark < this.#asked) return
    this.#asked = null
    if (this.#open && this.#mark > mark) this.#confirm()
  }

  /** Also tells a peer that is gone without a word from one that has nothing to say. */
  #schedulePing(): void {
    const { clock, limits } = this.#options
    if (limits.pingMs === 0) return
    const silenceMsMax = Math.max(PINGS_UNANSWERED_MAX * limits.pingMs, SILENCE_MS_MIN)
    const due = clock.now() + limits.pingMs
    this.#cancelPing = clock.after(limits.pingMs, () => {
      // A machine that slept has not listened either.
      const slept = clock.now() > due + limits.pingMs
      if (slept) this.#heardAt = clock.now()
      if (clock.now() - this.#heardAt >= silenceMsMax) {
        this.#socket.terminate()
        return
      }
      this.#ping()
      this.#schedulePing()
    })
  }

  #fallBehind(): void {
    const { clock, limits } = this.#options
    this.#options.onBehind(true)
    let since = clock.now()
    let taken = this.#takenBytes
    const look = (): void => {
      this.#cancelBehind = clock.after(BEHIND_POLL_MS, () => {
        if (this.#socket.bufferedAmount < limits.waitingBytesMax / 8) return this.#catchUp()
        if (clock.now() - since >= BEHIND_WINDOW_MS) {
          if (this.#takenBytes - taken < BEHIND_BYTES_MIN) return this.#cutOff()
          since = clock.now()
          taken = this.#takenBytes
        }
        look()
      })
    }
    look()
  }

  #catchUp(): void {
    if (this.#cancelBehind === null) return
    this.#cancelBehind()
    this.#cancelBehind = null
    this.#options.onBehind(false)
  }

  /** Bytes that the operating system has taken from us. */
  get #takenBytes(): number {
    return this.#writtenBytes - this.#socket.bufferedAmount
  }

  #cutOff(): void {
    this.#options.onCutOff()
    const reason = 'Too much output waits for this client, which does not read it. Connect again to get the rest.'
    this.close(1013, reason, CUT_OFF_MS)
  }

  #stop(): void {
    this.#open = false
    this.#catchUp()
    this.#cancelConfirm?.()
    this.#cancelPing?.()
    this.#pace.stop()
  }

  #ended(why: string): void {
    if (this.#open) this.#stop()
    this.#options.onEnd(why)
  }
}

function shortened(reason: string): string {
  const bytes = Buffer.from(reason)
  return bytes.length <= REASON_BYTES_MAX ? reason : bytes.subarray(0, REASON_BYTES_MAX - 3).toString('latin1') + '...'
}
