/**
 * The named pipes behind a worker's file descriptors 1 and 2: output of C code and of child processes.
 *
 * The worker opens its end for reading and writing, so that a reader always exists and no child dies of SIGPIPE while
 * the gateway is gone. Here they are read as bytes come, and drained at once when the worker says that a cell is done:
 * what the cell wrote must be published before its idle.
 */

import { execFile } from 'node:child_process'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net'
import { promisify } from 'node:util'
import type { Numbered, WorkerCommand } from '../link/protocol.js'
import type { Piece } from './memory.js'

export interface Fifo {
  /**
   * Delivers everything that is in the pipe now and may be told. `ended`: that cell is over, so it was begun, although the
   * reply before it may have been served by a gateway that is gone. `next`: `passed` with that cell follows at once.
   */
  drain(ended?: number, next?: number): void
  /** The reply has been served behind which the worker began the cell `seq`: what that one wrote may be delivered. */
  passed(seq: number): void
  /** Delivers what is in the pipe; from now on another worker writes to it. */
  reset(): void
  /** Goes on with what another gateway had read and not told. Called before anything is read. */
  restore(pieces: readonly Piece[]): void
  pause(): void
  resume(): void
  close(): void
}

/**
 * Gets text, escaped as the inside of a JSON string, and, if it is not what it was, all that was read and is not told:
 * as soon as it is read nobody else has it.
 */
export type OnRead = (text: Buffer, held: readonly Piece[] | null) => void

/** What a worker is to write before what the cell `seq` prints. Terminals do not show it. */
export function markOf(mark: string, seq: number): string {
  return `${mark}${seq}${END}`
}

/** The command with what is to be written between the cell before and the one that it hands over ahead of its turn. */
export function marked(command: Numbered<WorkerCommand>, mark: string | undefined): Numbered<WorkerCommand> {
  if (command.kind !== 'request' || command.behind === undefined || mark === undefined) return command
  return { ...command, mark: markOf(mark, command.seq) }
}

/** Makes named pipes. Node has no call for it; the command belongs to every Linux. */
export async function makeFifos(...paths: readonly string[]): Promise<void> {
  await promisify(execFile)('mkfifo', ['-m', '600', ...paths])
}

const CHUNK_BYTES = 65_536
/** Of all pipes: there are two for each kernel, and what was read is copied at once. */
const chunkOfAll = Buffer.allocUnsafeSlow(CHUNK_BYTES)

/**
 * Reads a named pipe.
 *
 * `mark`: what begins the bytes (see `markOf`) that a worker writes between two cells when it begins the second one by
 * itself. What comes behind a mark is held back until the reply of the first cell has been served (`passed`): the pipe
 * may be read before the link is. Nothing more is read meanwhile: it is safe in the pipe, and what is held here is not.
 */
export function readFifo(path: string, mark: Buffer, onRead: OnRead): Fifo {
  // For writing, too: with no writer left, as when a worker died and the next is not there yet, reading would end.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  /** The latest cell that may be told of. */
  let passed = 0
  /** What was read and is not told; the last piece is of the cell that is read now. */
  let pieces: readonly Piece[] = [{ seq: 0, bytes: EMPTY }]
  /** Somebody was told that there is something. */
  let isNoted = false
  let isPaused = false
  let isReading = false

  const present = (): Piece => pieces.at(-1) ?? { seq: 0, bytes: EMPTY }
  const isHolding = (): boolean => present().seq > passed
  const follow = (next?: number): void => {
    const reads = !isPaused && (!isHolding() || present().seq === next)
    if (reads === isReading) return
    isReading = reads
    if (reads) socket.resume()
    else socket.pause()
  }
  const add = (bytes: Buffer): void => {
    if (bytes.length === 0) return
    const { seq, bytes: before } = present()
    pieces = [...pieces.slice(0, -1), { seq, bytes: before.length === 0 ? bytes : Buffer.concat([before, bytes]) }]
  }
  const begin = (seq: number): void => {
    // A character may be cut by a mark: its first half goes along with the second.
    const { seq: former, bytes } = present()
    const whole = bytes.length - halfAtEnd(bytes)
    pieces = [
      ...pieces.slice(0, -1),
      { seq: former, bytes: bytes.subarray(0, whole) },
      { seq, bytes: bytes.subarray(whole) },
    ]
  }
  const tell = (next?: number): void => {
    const { seq, bytes } = present()
    const told = pieces.filter((each, at) => each.seq <= passed && at < pieces.length - 1).map((each) => each.bytes)
    pieces = pieces.filter((each, at) => each.seq > passed || at === pieces.length - 1)
    if (seq <= passed) {
      const whole = bytes.length - halfAtEnd(bytes)
      told.push(bytes.subarray(0, whole))
      pieces = [{ seq, bytes: bytes.subarray(whole) }]
    }
    const text = escaped(told)
    // That a cell has begun is worth nothing if it may be told of in a moment.
    const isHeld = pieces.some((each) => each.bytes.length > 0 || (each.seq > passed && each.seq !== next))
    if (text.length > 0 || isHeld || isNoted) {
      const isNews = isHeld || isNoted
      isNoted = isHeld
      onRead(text, isNews ? (isHeld ? pieces : []) : null)
    }
    follow(next)
  }
  const pass = (seq: number): void => {
    const first = pieces.find((each) => each.seq > passed)
    passed = Math.max(passed, seq)
    if (first !== undefined && first.seq <= passed) tell()
  }
  const take = (chunk: Buffer, next?: number): void => {
    let rest = chunk
    // A mark is written in one piece, so only the end of a full chunk can cut it; the rest is in the pipe.
    for (let count = chunk.length < CHUNK_BYTES ? 0 : 1; count > 0 && beginsAtEnd(rest, mark);) {
      const more = Buffer.allocUnsafe(MARK_BYTES_MAX)
      count = readNow(fd, more)
      rest = Buffer.concat([rest, more.subarray(0, count)])
    }
    for (let at = rest.indexOf(mark); at >= 0; at = rest.indexOf(mark)) {
      const from = at + mark.length
      const [seq = '', ...more] = rest.toString('latin1', from, from + MARKED_BYTES_MAX).split(END)
      if (more.length === 0) break
      add(rest.subarray(0, at))
      begin(Number(seq))
      rest = rest.subarray(from + seq.length + END.length)
    }
    add(rest)
    tell(next)
  }
  /** True: there may be more. */
  const readOn = (next?: number): boolean => {
    const count = readNow(fd, chunkOfAll)
    if (count > 0) take(Buffer.from(chunkOfAll.subarray(0, count)), next)
    return count === CHUNK_BYTES || (count > 0 && isHolding())
  }
  // With a buffer of ours what comes is here at once or still in the pipe: a stream would keep some when it is paused.
  const onread = {
    buffer: chunkOfAll,
    callback(count: number): boolean {
      take(Buffer.from(chunkOfAll.subarray(0, count)))
      return true
    },
  }
  const options: SocketConstructorOpts & { readonly onread: OnReadOpts } = {
    fd,
    readable: true,
    writable: false,
    onread,
  }
  const socket = new Socket(options)
  socket.on('error', () => {})
  socket.unref()
  follow()
  return {
    drain(ended, next) {
      for (let isMore = true; isMore;) {
        const first = pieces.find(({ seq }) => seq > passed)
        if (ended !== undefined && first?.seq === ended) pass(ended)
        isMore = !isHolding() && readOn(next)
      }
    },
    passed: pass,
    reset() {
      do pass(present().seq)
      while (readOn())
      pass(present().seq)
    },
    restore(before) {
      pieces = before.length > 0 ? before.map(({ seq, bytes }) => ({ seq, bytes: Buffer.from(bytes) })) : pieces
      isNoted = before.length > 0
      tell()
    },
    pause() {
      isPaused = true
      follow()
    },
    resume() {
      isPaused = false
      follow()
    },
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

/** Bytes as text: the inside of a JSON string. */
export function escaped(given: readonly Buffer[]): Buffer {
  const chunks = given.filter(({ length }) => length > 0)
  const [first] = chunks
  if (first === undefined) return EMPTY
  return Buffer.from(JSON.stringify((chunks.length === 1 ? first : Buffer.concat(chunks)).toString()).slice(1, -1))
}

/** How a mark ends, and how far behind its beginning at most. */
const END = '\u001b\\'
const MARKED_BYTES_MAX = 24

/** Longer than any mark. */
const MARK_BYTES_MAX = 128

/** A mark may begin at the end of `bytes` that does not end there. */
function beginsAtEnd(bytes: Buffer, mark: Buffer): boolean {
  const at = bytes.lastIndexOf(mark)
  if (at >= 0 && bytes.length - at - mark.length < MARKED_BYTES_MAX) {
    return bytes.indexOf(END, at + mark.length, 'latin1') < 0
  }
  let length = Math.min(bytes.length, mark.length - 1)
  while (length > 0 && !bytes.subarray(bytes.length - length).equals(mark.subarray(0, length))) length -= 1
  return length > 0
}

/** How many bytes at the end are the beginning of a character of UTF-8. */
function halfAtEnd(bytes: Buffer): number {
  for (let length = 1; length <= Math.min(3, bytes.length); length += 1) {
    const byte = bytes[bytes.length - length] ?? 0
    if ((byte & 0xc0) === 0x80) continue
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return byte < 0xf8 && needed > length ? length : 0
  }
  return 0
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
