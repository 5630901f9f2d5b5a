/**
 * One WebSocket: frames out and in, its pings, and its end.
 *
 * Messages of one turn of the event loop leave together, in one write, and at once (ws turns Nagle's algorithm off). When
 * the operating system has taken them they will arrive, unless the connection breaks; a ping follows them, and its pong
 * tells that they have. What waits for a client that does not read is bounded by whoever sends, who asks `waitingBytes`
 * and is told when there is room again.
 */

import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import type { Channel } from '../../wire/message.js'
import type { Received } from '../../wire/websocket.js'
import type { Dialect, Frame } from './dialect.js'
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
  /** The operating system has taken everything that had this mark or an earlier one. */
  onTaken(mark: number): void
  /** Everything that had this mark or an earlier one has arrived. */
  onArrived(mark: number): void
  /** The other side does not answer: what was taken may never arrive. And it answers again. */
  onSilent(silent: boolean): void
  /** There is room again, after somebody waited for it. */
  onRoom(): void
  /** It asks and does not read the answers: it is about to be closed. */
  onCutOff(): void
  onEnd(why: string): void
}

const { OPEN } = WebSocket
/** The least pause between two questions whether everything has arrived; the first one goes out with the messages. */
const CONFIRM_MS = 10
/** Pings without an answer after which the other side counts as gone. */
const PINGS_UNANSWERED_MAX = 3
const SILENCE_MS_MIN = 30_000
/** A pong that takes longer than this makes it doubtful that anybody is there. */
const SILENT_MS = 3_000
/** With less than this waiting there is room again. */
const ROOM_BYTES = 262_144
/** From our close frame to its answer; a client that does not read may have been stopped for a while. */
const CLOSE_MS = 3_000
const CUT_OFF_MS = 30_000
/** RFC 6455: what a connection without close frames has ended with. */
const ABNORMAL = 1006
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
  #cancelSilence: (() => void) | null = null
  #silent = false
  #heardAt: number
  #writtenBytes = 0
  /** The last frame of this turn: its write tells when all of it is taken. */
  #last: Frame | null = null
  /** Turns whose bytes are not taken yet: their last marks, and how much was written up to there. */
  readonly #untaken: { readonly mark: number; readonly bytes: number }[] = []
  #roomIsAwaited = false
  /** We were the first to send a close frame. */
  #closing = false

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
    socket.on('close', (code) => this.#ended(code))
    this.#schedulePing()
  }

  /** Bytes that wait here: the operating system has not taken them. */
  get waitingBytes(): number {
    return this.#options.stream.writableLength + (this.#last?.bytes ?? 0)
  }

  /** `mark` is handed back when this and everything before it is taken, and has arrived. */
  send(channel: Channel, sealed: readonly Buffer[], mark: number): void {
    // Once the other side has sent its close frame, nothing may follow ours, which answers it.
    if (!this.#open || this.#socket.readyState !== OPEN) return
    this.#beginTurn()
    for (const frame of this.#options.dialect.encode(channel, sealed)) {
      if (this.#last !== null) for (const piece of this.#last.pieces) this.#options.stream.write(piece)
      this.#last = frame
      this.#writtenBytes += frame.bytes
    }
    this.#mark = mark
  }

  /** Says something besides what the kernel says; one that asks for it again and again without reading is cut off. */
  tell(sealed: readonly Buffer[], mark: number): void {
    if (this.#open && this.waitingBytes > 2 * this.#options.limits.waitingBytesMax) return this.#cutOff()
    this.send('iopub', sealed, mark)
  }

  /** Has `onRoom` called, once, as soon as little waits. */
  awaitRoom(): void {
    this.#roomIsAwaited = true
    this.#beginTurn()
  }

  /** Nothing is sent or received after this; the other side gets a few seconds to answer, and none if asked again. */
  close(code: number, reason: string, withinMs = CLOSE_MS): void {
    if (!this.#open) return this.#socket.terminate()
    this.#stop()
    this.#closing = this.#socket.readyState === OPEN
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
    if (this.#inTurn || !this.#open) return
    this.#inTurn = true
    const { stream } = this.#options
    stream.cork()
    process.nextTick(() => {
      this.#inTurn = false
      this.#write()
      if (this.#open) this.#confirm()
      stream.uncork()
      this.#lookAtTaken()
    })
  }

  #write(): void {
    if (this.#last === null) return
    const { pieces } = this.#last
    this.#last = null
    this.#untaken.push({ mark: this.#mark, bytes: this.#writtenBytes })
    const { stream } = this.#options
    for (const [i, piece] of pieces.entries()) {
      if (i < pieces.length - 1) stream.write(piece)
      else stream.write(piece, () => this.#lookAtTaken())
    }
  }

  #lookAtTaken(): void {
    const { stream } = this.#options
    // One that was torn down gives up what waits, and counts it as written.
    if (!this.#open || stream.destroyed || stream.errored) return
    // Pings and what else waits make it less than it is, which does no harm.
    const takenBytes = this.#writtenBytes - stream.writableLength
    let taken: number | null = null
    for (let next = this.#untaken[0]; next !== undefined && next.bytes <= takenBytes; next = this.#untaken[0]) {
      taken = next.mark
      this.#untaken.shift()
    }
    if (taken !== null) this.#options.onTaken(taken)
    if (!this.#roomIsAwaited || this.waitingBytes >= ROOM_BYTES) return
    this.#roomIsAwaited = false
    this.#options.onRoom()
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
    // Its pong stands for all that was sent before.
    this.#write()
    this.#asked = this.#mark
    this.#askedAt = this.#options.clock.now()
    this.#cancelSilence ??= this.#options.clock.after(SILENT_MS, () => this.#fallSilent(true))
    this.#socket.ping(String(this.#mark))
  }

  #fallSilent(silent: boolean): void {
    this.#silent = silent
    this.#options.onSilent(silent)
  }

  #ponged(data: Buffer): void {
    this.#heardAt = this.#options.clock.now()
    const mark = Number(data.toString('latin1'))
    if (!Number.isSafeInteger(mark) || this.#asked === null || mark > this.#asked) return
    this.#options.onArrived(mark)
    if (mark < this.#asked) return
    this.#asked = null
    this.#cancelSilence?.()
    this.#cancelSilence = null
    if (this.#silent) this.#fallSilent(false)
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

  #cutOff(): void {
    this.#options.onCutOff()
    const reason = 'This client asks without reading the answers. Connect again to get the rest.'
    this.close(1013, reason, CUT_OFF_MS)
  }

  #stop(): void {
    // Before anything else is written: a close frame goes behind what was sent.
    this.#write()
    this.#open = false
    this.#cancelSilence?.()
    this.#cancelConfirm?.()
    this.#cancelPing?.()
    this.#pace.stop()
  }

  #ended(code: number): void {
    // Who answers our close frame has had all that was before it.
    if (this.#closing && code !== ABNORMAL) this.#options.onArrived(this.#mark)
    if (this.#open) this.#stop()
    this.#options.onEnd(`closed with ${code}`)
  }
}

function shortened(reason: string): string {
  const bytes = Buffer.from(reason)
  return bytes.length <= REASON_BYTES_MAX ? reason : bytes.subarray(0, REASON_BYTES_MAX - 3).toString('latin1') + '...'
}
