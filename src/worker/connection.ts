/** One process of ours at the other end of the link: frames in, frames out. */

import type { Socket } from 'node:net'
import type { Log } from '../log.js'
import { encodeFrame, type FrameReader } from '../link/framing.js'
import type { Envelope, Frame } from '../link/protocol.js'
import type { Turns } from './turns.js'

export interface Connection {
  send(envelope: Envelope, parts?: readonly Buffer[]): void
  /** What is sent in `work` goes out in one piece: one wake-up for the process. */
  together(work: () => void): void
  /** Stops reading: the process waits as soon as the socket's buffer is full. */
  pause(): void
  resume(): void
  close(): void
}

export interface ConnectionHandlers {
  onFrame(frame: Frame): void
  /** What came is no frame; `onClose` follows. */
  onBroken?(): void
  /** The connection is over, whoever ended it. Called once. */
  onClose(): void
}

export interface Beginning {
  readonly turns: Turns
  /** It may have read the beginning of a frame already. */
  readonly reader: FrameReader
  /** Frames that came before there was anybody to take them. */
  readonly early: readonly Frame[]
}

/** Small frames are copied into one buffer: that is cheaper than a gathered write. */
const JOINED_BYTES_MAX = 16_384

/**
 * Speaks frames over a connected socket. Bytes that are no frame end the connection with a line in the log.
 *
 * What was read is taken in by and by (`turns`), and nothing more is read meanwhile, so that at most what two reads
 * bring waits here.
 */
export function frameConnection(
  socket: Socket,
  log: Log,
  handlers: ConnectionHandlers,
  { turns, reader, early }: Beginning,
): Connection {
  const frames: Frame[] = [...early]
  let next = 0
  let waits = false
  let paused = false

  const takeOne = (): boolean => {
    const frame = frames[next]
    next += 1
    if (frame) handlers.onFrame(frame)
    if (next < frames.length) return true
    frames.length = 0
    next = 0
    if (waits) {
      waits = false
      if (!paused) socket.resume()
    }
    return false
  }
  const takeIn = (): void => {
    if (waits || frames.length === 0 || turns.do(takeOne)) return
    waits = true
    socket.pause()
  }

  socket.on('data', (chunk: Buffer) => {
    try {
      frames.push(...reader.push(chunk))
    } catch (error) {
      while (frames.length > 0) takeOne()
      log('error', 'link_bad_frame', { message: error instanceof Error ? error.message : String(error) })
      handlers.onBroken?.()
      socket.destroy()
      return
    }
    takeIn()
  })
  // A reset is how a killed process closes; `close` follows and is what counts.
  socket.on('error', () => {})
  socket.on('close', () => {
    while (frames.length > 0) takeOne()
    handlers.onClose()
  })
  if (frames.length > 0) queueMicrotask(takeIn)
  return {
    send(envelope, parts) {
      if (socket.destroyed) return
      const chunks = encodeFrame(envelope, parts)
      let bytes = 0
      for (const chunk of chunks) bytes += chunk.length
      if (bytes <= JOINED_BYTES_MAX) {
        socket.write(Buffer.concat(chunks, bytes))
        return
      }
      socket.cork()
      for (const chunk of chunks) socket.write(chunk)
      socket.uncork()
    },
    together(work) {
      socket.cork()
      try {
        work()
      } finally {
        socket.uncork()
      }
    },
    pause() {
      paused = true
      socket.pause()
    },
    resume() {
      paused = false
      if (!waits) socket.resume()
    },
    close: () => void socket.destroy(),
  }
}
