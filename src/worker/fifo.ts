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
  /** The reply has been served behind which the worker writes the mark: what follows the mark may be delivered. */
  passed(): void
  /** Delivers what is in the pipe; from now on another worker writes to it. */
  reset(): void
  pause(): void
  resume(): void
  close(): void
}

/** Makes named pipes. Node has no call for it; the command belongs to every Linux. */
export async function makeFifos(...paths: readonly string[]): Promise<void> {
  await promisify(execFile)('mkfifo', ['-m', '600', ...paths])
}

const CHUNK_BYTES = 65_536
/** Of all pipes: there are two for each kernel, and what was read is copied at once. */
const chunkOfAll = Buffer.allocUnsafeSlow(CHUNK_BYTES)

/**
 * Reads a named pipe; `onText` gets text escaped as the inside of a JSON string.
 *
 * `mark`: bytes that a worker writes between two cells when it begins the second one by itself. What comes behind a mark
 * is held back until the reply of the first cell has been served (`passed`): the pipe may be read before the link is.
 */
export function readFifo(path: string, mark: Buffer, onText: (text: Buffer) => void): Fifo {
  // For writing, too: with no writer left, as when a worker died and the next is not there yet, reading would end.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  // Characters may be cut between two reads.
  const decoder = new StringDecoder('utf8')
  /** Marks that were read less replies that were served. */
  let ahead = 0
  const held: Buffer[] = []
  /** The beginning of a mark, cut by the end of a chunk. */
  let cut: Buffer = EMPTY
  const say = (bytes: Buffer): void => {
    const text = decoder.write(bytes)
    if (text === '') return
    const escaped = Buffer.from(JSON.stringify(text).slice(1, -1))
    if (ahead > 0) held.push(escaped)
    else onText(escaped)
  }
  const release = (): void => {
    for (const text of held.splice(0)) onText(text)
  }
  const deliver = (chunk: Buffer): void => {
    let rest = cut.length > 0 ? Buffer.concat([cut, chunk]) : chunk
    cut = EMPTY
    for (let at = rest.indexOf(mark); at >= 0; at = rest.indexOf(mark)) {
      say(rest.subarray(0, at))
      ahead += 1
      rest = rest.subarray(at + mark.length)
    }
    // A mark is written in one piece, so only the end of a full chunk can cut it; the rest is in the pipe.
    if (chunk.length === CHUNK_BYTES) {
      const kept = beginningAtEnd(rest, mark)
      cut = Buffer.from(rest.subarray(rest.length - kept))
      rest = rest.subarray(0, rest.length - kept)
    }
    if (rest.length > 0) say(rest)
  }
  const socket = new Socket({ fd, readable: true, writable: false })
  socket.on('data', deliver)
  socket.on('error', () => {})
  socket.unref()
  const drain = (): void => {
    for (let count = CHUNK_BYTES; count === CHUNK_BYTES;) {
      count = readNow(fd, chunkOfAll)
      if (count > 0) deliver(Buffer.from(chunkOfAll.subarray(0, count)))
    }
    if (cut.length > 0) {
      say(cut)
      cut = EMPTY
    }
  }
  return {
    drain,
    passed() {
      ahead -= 1
      if (ahead <= 0) release()
    },
    reset() {
      drain()
      ahead = 0
      release()
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

const EMPTY = Buffer.alloc(0)

/** How many bytes at the end of `bytes` are the beginning of `mark`. */
function beginningAtEnd(bytes: Buffer, mark: Buffer): number {
  let length = Math.min(bytes.length, mark.length - 1)
  while (length > 0 && !bytes.subarray(bytes.length - length).equals(mark.subarray(0, length))) length -= 1
  return length
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
