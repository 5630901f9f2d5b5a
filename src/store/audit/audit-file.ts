/**
 * A file of lines that are only ever added, bounded by rotation.
 *
 * Several gateways of one data folder write to the same file: a line is one `write` behind all others. Before each, the
 * file is looked at: one that was rotated by another, or removed, is opened anew, so that a line is never written to a
 * file that nobody will find. A write that fails costs that line alone; the next one is tried again.
 */

import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '../../folders.js'

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants
const NAME = 'audit.jsonl'
const ROTATED = /^audit-[\dTZ-]+\.jsonl$/

export interface AuditLimits {
  readonly fileBytesMax: number
  /** The one that is being written included. */
  readonly filesMax: number
}

export class AuditFile {
  readonly #folder: string
  readonly #limits: AuditLimits
  readonly #now: () => Date
  #open: { readonly fd: number; readonly inode: number } | null = null
  /** The last line may be there in part. */
  #torn = false

  /** Nothing is opened before the first line. `folder` is made, for its user alone. */
  constructor(folder: string, limits: AuditLimits, now: () => Date) {
    this.#folder = folder
    this.#limits = limits
    this.#now = now
  }

  /** Adds a line; it is with the operating system when this returns. Throws what the file system says. */
  add(line: string): void {
    const { fd, size } = this.#present()
    const bytes = Buffer.from(`${this.#torn ? '\n' : ''}${line}\n`)
    this.#torn = true
    let written = 0
    while (written < bytes.length) written += writeSync(fd, bytes, written)
    this.#torn = false
    if (size + bytes.length >= this.#limits.fileBytesMax) this.#rotate()
  }

  close(): void {
    if (this.#open !== null) closeSync(this.#open.fd)
    this.#open = null
  }

  #present(): { readonly fd: number; readonly size: number } {
    const path = join(this.#folder, NAME)
    const there = statSync(path, { throwIfNoEntry: false })
    if (this.#open !== null && there?.ino === this.#open.inode) return { fd: this.#open.fd, size: there.size }
    this.close()
    makeFolder(this.#folder, 0o700)
    // Not through a link: the file is ours, and nobody else's is to be written to.
    const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
    const { ino, size } = fstatSync(fd)
    this.#open = { fd, inode: ino }
    return { fd, size }
  }

  #rotate(): void {
    const stamp = this.#now().toISOString().replace(/[:.]/g, '-')
    renameSync(join(this.#folder, NAME), join(this.#folder, `audit-${stamp}-${process.pid}.jsonl`))
    this.close()
    const old = readdirSync(this.#folder)
      .filter((name) => ROTATED.test(name))
      .toSorted()
    for (const name of old.slice(0, Math.max(0, old.length - (this.#limits.filesMax - 1)))) {
      rmSync(join(this.#folder, name), { force: true })
    }
  }
}
