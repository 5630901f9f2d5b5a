/**
 * The unix socket that our Python processes dial.
 *
 * Who connects must say `hello` with a token that is expected at that moment, within a deadline; anybody else is shown
 * out with a line in the log. The socket lies in a folder that only its owner can enter.
 */

import { existsSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { SavepointError } from '../errors.js'
import type { Log } from '../log.js'
import { encodeFrame, FrameReader } from '../link/framing.js'
import type { Frame, Hello } from '../link/protocol.js'
import { hello } from '../link/shapes.js'
import { frameConnection, type Connection, type ConnectionHandlers } from './connection.js'
import { Turns } from './turns.js'

/** `later`: nobody knows yet whether it is wanted; it is to dial again. */
export type Admission = boolean | 'later'

/** Takes in a process that said hello, or refuses it. */
export type Admit = (hello: Hello, connect: (handlers: ConnectionHandlers) => Connection) => Admission

export interface Door {
  close(): void
}

/**
 * Listens at `path` (at most 107 bytes, as unix sockets go), also where a process that was killed has left a socket.
 * Throws `LINK_REFUSED` if somebody listens there.
 */
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
      const introduced = hello(frame.envelope)
      // Whatever the process sent right behind its hello is heard after it was taken in.
      const connect = (handlers: ConnectionHandlers): Connection =>
        frameConnection(socket, log, handlers, { turns, reader, early })
      const admission = introduced !== null && admit(introduced, connect)
      if (admission === true) return
      if (admission === 'later') socket.destroy()
      else if (introduced?.resumed) {
        // It waits for this answer: without one it would go on dialling.
        log('info', 'link_dismissed', { role: introduced.role })
        for (const chunk of encodeFrame({ kind: 'dismissed' })) socket.write(chunk)
        socket.end()
      } else refuse('a hello that is not expected')
    })
  })
  await removeDeadSocket(path)
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

async function removeDeadSocket(path: string): Promise<void> {
  if (!existsSync(path)) return
  const isAlive = await new Promise<boolean>((resolve) => {
    const socket = createConnection(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (isAlive) throw new SavepointError('LINK_REFUSED', `Another process listens at ${path}. Stop it first.`)
  rmSync(path, { force: true })
}
