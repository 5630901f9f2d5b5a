/**
 * Records of bytes in files of a folder: appended, read back, cut where they are damaged.
 *
 * A record is one write to the page cache, which outlives this process; it is not forced to the disk, since it need not
 * outlive the machine. Each has its length and two sums in front: one of the length, so that a record that was not
 * written to its end is told from one that was changed afterwards, and one of what it holds.
 *
 *     length u32 | CRC-32 of these four bytes | CRC-32 of the payload | payload          all big-endian
 *
 * Files are of mode 0600, named by number and by the first message that may be in them.
 */

import * as fs from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { SavepointError } from '../../errors.js'
import { makeFolder } from '../../folders.js'

/** What is used of the file system; tests have one that fails. */
export type JournalFiles = Pick<
  typeof fs,
  | 'openSync'
  | 'closeSync'
  | 'writeSync'
  | 'writevSync'
  | 'readSync'
  | 'ftruncateSync'
  | 'fstatSync'
  | 'unlinkSync'
  | 'readdirSync'
>

const HEADER_BYTES = 12
/** A record that fits is put together here: one piece costs the system less than two. */
const SMALL = Buffer.allocUnsafeSlow(16_384)
const HEADER = SMALL.subarray(0, HEADER_BYTES)
const LENGTH = HEADER.subarray(0, 4)
const WINDOW_BYTES = 262_144
const NAME = /^(\d{8,})-(\d+)\.records$/

interface File {
  readonly number: number
  readonly firstSeq: number
  readonly begunAt: number
  readonly path: string
  /** Of whole records, as far as is known. */
  bytes: number
}

export class Segments {
  readonly #folder: string
  readonly #files: JournalFiles
  readonly #now: () => number
  readonly #list: File[]
  /** Of the last segment; null: not open. */
  #fd: number | null = null

  /** Opens a folder, which is made when it is written to. Throws `storage_failed`. `now`: milliseconds since the epoch. */
  constructor(folder: string, now: () => number, files: JournalFiles = fs) {
    this.#folder = folder
    this.#files = files
    this.#now = now
    try {
      this.#list = this.#found()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw failure('opened', error)
      this.#list = []
    }
  }

  get segments(): readonly Omit<File, 'path'>[] {
    return this.#list
  }

  append(payload: readonly Buffer[]): { segment: number; offset: number; end: number } {
    const last = this.#list.at(-1)
    if (!last) throw new SavepointError('internal', 'A journal has no segment to write to.')
    let length = 0
    let sum = 0
    for (const chunk of payload) {
      length += chunk.length
      sum = crc32(chunk, sum)
    }
    HEADER.writeUInt32BE(length, 0)
    HEADER.writeUInt32BE(crc32(LENGTH), 4)
    HEADER.writeUInt32BE(sum, 8)
    const offset = last.bytes
    const end = offset + HEADER_BYTES + length
    const [first] = payload
    try {
      this.#fd ??= this.#files.openSync(last.path, 'r+')
      if (first && payload.length === 1 && end - offset <= SMALL.length) {
        first.copy(SMALL, HEADER_BYTES)
        const written = this.#files.writeSync(this.#fd, SMALL, 0, end - offset, offset)
        if (written < end - offset)
          writeAll(this.#files, this.#fd, [SMALL.subarray(written, end - offset)], offset + written)
      } else writeAll(this.#files, this.#fd, [HEADER, ...payload], offset)
    } catch (error) {
      this.#takeBack(offset)
      throw failure('written', error)
    }
    last.bytes = end
    return { segment: last.number, offset, end }
  }

  begin(firstSeq: number): void {
    const number = (this.#list.at(-1)?.number ?? 0) + 1
    const path = join(this.#folder, `${String(number).padStart(8, '0')}-${firstSeq}.records`)
    let fd: number
    try {
      makeFolder(this.#folder, 0o700)
      fd = this.#files.openSync(path, 'wx+', 0o600)
    } catch (error) {
      throw failure('written', error)
    }
    this.close()
    this.#fd = fd
    this.#list.push({ number, firstSeq, begunAt: this.#now(), path, bytes: 0 })
  }

  *scan(
    segment: number,
    offset = 0,
  ): Generator<
    { place: { segment: number; offset: number; end: number }; payload: Buffer },
    { end: number; how: 'whole' | 'torn' | 'damaged' }
  > {
    const file = this.#list.find(({ number }) => number === segment)
    if (!file) return { end: 0, how: 'whole' }
    let fd: number
    try {
      fd = this.#files.openSync(file.path, 'r')
    } catch {
      return { end: offset, how: 'damaged' }
    }
    let at = offset
    try {
      const window = new Window(this.#files, fd)
      for (;;) {
        const left = window.size - at
        if (left === 0) return { end: at, how: 'whole' }
        const header = window.read(at, HEADER_BYTES)
        if (!header) return { end: at, how: 'torn' }
        if (crc32(header.subarray(0, 4)) !== header.readUInt32BE(4)) return { end: at, how: 'damaged' }
        const end = at + HEADER_BYTES + header.readUInt32BE(0)
        if (end > window.size) return { end: at, how: 'torn' }
        const payload = window.read(at + HEADER_BYTES, header.readUInt32BE(0))
        if (!payload || crc32(payload) !== header.readUInt32BE(8)) return { end: at, how: 'damaged' }
        yield { place: { segment, offset: at, end }, payload }
        at = end
      }
    } catch {
      // It cannot be read.
      return { end: at, how: 'damaged' }
    } finally {
      this.#files.closeSync(fd)
    }
  }

  cut(segment: number, offset: number): void {
    const file = this.#list.find(({ number }) => number === segment)
    if (!file) return
    try {
      const fd = this.#files.openSync(file.path, 'r+')
      try {
        this.#files.ftruncateSync(fd, offset)
      } finally {
        this.#files.closeSync(fd)
      }
    } catch (error) {
      throw failure('written', error)
    }
    file.bytes = offset
  }

  drop(segment: number): void {
    const at = this.#list.findIndex(({ number }) => number === segment)
    const file = this.#list[at]
    if (!file || at === this.#list.length - 1) return
    try {
      this.#files.unlinkSync(file.path)
    } catch {
      // It is gone already, or stays where it is: nothing in it counts any more.
    }
    this.#list.splice(at, 1)
  }

  close(): void {
    if (this.#fd === null) return
    const fd = this.#fd
    this.#fd = null
    this.#files.closeSync(fd)
  }

  #found(): File[] {
    const found = this.#files.readdirSync(this.#folder).flatMap((name): File[] => {
      const [, number, firstSeq] = NAME.exec(name) ?? []
      if (number === undefined) return []
      const path = join(this.#folder, name)
      const fd = this.#files.openSync(path, 'r')
      try {
        const { size, mtimeMs } = this.#files.fstatSync(fd)
        return [{ number: Number(number), firstSeq: Number(firstSeq), begunAt: mtimeMs, path, bytes: size }]
      } finally {
        this.#files.closeSync(fd)
      }
    })
    return found.toSorted((a, b) => a.number - b.number)
  }

  /** What was written of a record that failed must not stand before the next one. */
  #takeBack(offset: number): void {
    try {
      if (this.#fd !== null) this.#files.ftruncateSync(this.#fd, offset)
    } catch {
      // Whoever goes on after a failure begins another segment; this one is read up to here.
    }
  }
}

/** Reads from a file in large pieces. What it gives is not overwritten later. */
class Window {
  readonly size: number
  readonly #files: JournalFiles
  readonly #fd: number
  #start = 0
  #bytes = Buffer.alloc(0)

  constructor(files: JournalFiles, fd: number) {
    this.#files = files
    this.#fd = fd
    this.size = files.fstatSync(fd).size
  }

  /** null: the file ends before. */
  read(at: number, length: number): Buffer | null {
    if (at + length > this.size) return null
    if (at < this.#start || at + length > this.#start + this.#bytes.length) {
      const wanted = Buffer.allocUnsafe(Math.min(Math.max(length, WINDOW_BYTES), this.size - at))
      let have = 0
      while (have < wanted.length) {
        const count = this.#files.readSync(this.#fd, wanted, have, wanted.length - have, at + have)
        if (count === 0) break
        have += count
      }
      this.#start = at
      this.#bytes = wanted.subarray(0, have)
      if (have < length) return null
    }
    return this.#bytes.subarray(at - this.#start, at - this.#start + length)
  }
}

/** A write may end early where the disk is nearly full: the next one says so. */
function writeAll(files: JournalFiles, fd: number, chunks: readonly Buffer[], offset: number): void {
  let left = chunks.filter(({ length }) => length > 0)
  let at = offset
  while (left.length > 0) {
    let written = files.writevSync(fd, left.slice(0, CHUNKS_MAX), at)
    at += written
    if (written === 0) throw new Error('nothing could be written')
    while (written > 0 && left[0]) {
      const [first] = left
      if (written < first.length) {
        left = [first.subarray(written), ...left.slice(1)]
        break
      }
      written -= first.length
      left = left.slice(1)
    }
  }
}

/** As many as the system takes in one call. */
const CHUNKS_MAX = 1_024

function failure(what: 'opened' | 'written', error: unknown): SavepointError {
  const reason = (error as NodeJS.ErrnoException).code ?? String(error)
  return new SavepointError(
    'storage_failed',
    `The journal could not be ${what} (${reason}). Make room below the data folder, or make it writable.`,
    { reason },
    { cause: error },
  )
}
