/**
 * The named pipes behind a worker's file descriptors 1 and 2: output of C code and of child processes.
 *
 * The worker opens its end for reading and writing, so that a reader always exists and no child dies of SIGPIPE while
 * the gateway is gone. Here they are read as bytes come, and drained at once when the worker says that a cell is done:
 * what the cell wrote must be published before its idle.
 */

import { execFile } from 'node:child_process'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import { StringDecoder } from 'node:string_decoder'
import { promisify } from 'node:util'

export interface Fifo {
  /** Delivers everything that is in the pipe now. */
  drain(): void
  pause(): void
  resume(): void
  close(): void
}

/** Makes named pipes. Node has no call for it; the command belongs to every Linux. */
export async function makeFifos(...paths: readonly string[]): Promise<void> {
  await promisify(execFile)('mkfifo', ['-m', '600', ...paths])
}

const CHUNK_BYTES = 65_536

/** Reads a named pipe; `onText` gets text escaped as the inside of a JSON string. */
export function readFifo(path: string, onText: (text: Buffer) => void): Fifo {
  // For writing, too: with no writer left, as when a worker died and the next is not there yet, reading would end.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  // Characters may be cut between two reads.
  const decoder = new StringDecoder('utf8')
  const deliver = (bytes: Buffer): void => {
    const text = decoder.write(bytes)
    if (text !== '') onText(Buffer.from(JSON.stringify(text).slice(1, -1)))
  }
  const socket = new Socket({ fd, readable: true, writable: false })
  socket.on('data', deliver)
  socket.on('error', () => {})
  socket.unref()
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  return {
    drain() {
      for (;;) {
        const count = readNow(fd, chunk)
        if (count === 0) return
        deliver(chunk.subarray(0, count))
      }
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close() {
      socket.destroy()
      try {
        closeSync(fd)
      } catch {
        // The socket owned the descriptor and has closed it.
      }
    },
  }
}

/** Bytes read, 0 when the pipe is empty or has no writer. */
function readNow(fd: number, into: Buffer): number {
  const { stackTraceLimit } = Error
  // An empty pipe is the usual case and is told by an exception, whose stack trace would cost more than the read.
  Error.stackTraceLimit = 0
  try {
    return readSync(fd, into, 0, into.length, null)
  } catch {
    return 0
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
