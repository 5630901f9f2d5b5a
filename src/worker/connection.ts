/** One process of ours at the other end of the link: frames in, frames out. */

import type { Socket } from 'node:net'
import type { Log } from '../log.js'
import { encodeFrame, FrameReader } from '../link/framing.js'
import type { Envelope, Frame } from '../link/protocol.js'

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

/** Small frames are copied into one buffer: that is cheaper than a gathered write. */
const JOINED_BYTES_MAX = 16_384

/** Speaks frames over a connected socket. Bytes that are no frame end the connection with a line in the log. */
export function frameConnection(socket: Socket, log: Log, handlers: ConnectionHandlers): Connection {
  const reader = new FrameReader()
  socket.on('data', (chunk: Buffer) => {
    let frames: Frame[]
    try {
      frames = reader.push(chunk)
    } catch (error) {
      log('error', 'link_bad_frame', { message: error instanceof Error ? error.message : String(error) })
      handlers.onBroken?.()
      socket.destroy()
      return
    }
    for (const frame of frames) handlers.onFrame(frame)
  })
  // A reset is how a killed process closes; `close` follows and is what counts.
  socket.on('error', () => {})
  socket.on('close', () => handlers.onClose())
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
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => void socket.destroy(),
  }
}
