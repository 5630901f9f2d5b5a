/**
 * The unix socket that our Python processes dial.
 *
 * Who connects must say `hello` with a token that is expected at that moment, within a deadline; anybody else is shown
 * out with a line in the log. The socket lies in a folder that only its owner can enter.
 */

import { createServer, type Server, type Socket } from 'node:net'
import type { Log } from '../log.js'
import { FrameReader } from '../link/framing.js'
import type { Envelope, Frame, Hello } from '../link/protocol.js'
import { frameConnection, type Connection, type ConnectionHandlers } from './connection.js'
import { Turns } from './turns.js'

/** Takes in a process that said hello, or refuses it (null). */
export type Admit = (hello: Hello, connect: (handlers: ConnectionHandlers) => Connection) => boolean

export interface Door {
  close(): void
}

/** Listens at `path` (at most 107 bytes, as unix sockets go). */
export async function openDoor(path: string, admit: Admit, log: Log, helloMs: number): Promise<Door> {
  const waiting = new Set<Socket>()
  const turns = new Turns()
  const server: Server = createServer((socket) => {
    waiting.add(socket)
    const refuse = (reason: string): void => {
      log('warn', 'link_refused', { reason })
      socket.destroy()
    }
    const deadline = setTimeout(() => refuse('no hello in time'), helloMs)
    deadline.unref()
    socket.once('error', () => {})
    socket.once('close', () => {
      clearTimeout(deadline)
      waiting.delete(socket)
    })
    const reader = new FrameReader()
    socket.on('data', function first(chunk: Buffer) {
      let frames: Frame[]
      try {
        frames = reader.push(chunk)
      } catch {
        refuse('bytes that are no frame')
        return
      }
      const [frame, ...early] = frames
      if (!frame) return
      socket.off('data', first)
      clearTimeout(deadline)
      waiting.delete(socket)
      const hello = asHello(frame.envelope)
      // Whatever the process sent right behind its hello is heard after it was taken in.
      const connect = (handlers: ConnectionHandlers): Connection =>
        frameConnection(socket, log, handlers, { turns, reader, early })
      if (!hello || !admit(hello, connect)) refuse('a hello that is not expected')
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  server.unref()
  return {
    close() {
      server.close()
      for (const socket of waiting) socket.destroy()
    },
  }
}

function asHello(envelope: Envelope): Hello | null {
  const { kind, role, kernel, token, pid } = envelope as Partial<Hello> & Envelope
  const valid =
    kind === 'hello' &&
    (role === 'zygote' || role === 'worker' || role === 'writer' || role === 'debugger') &&
    typeof kernel === 'string' &&
    typeof token === 'string' &&
    typeof pid === 'number'
  return valid ? { kind, role, kernel, token, pid } : null
}
