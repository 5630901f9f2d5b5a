/**
 * How far each session of a kernel has got in the kernel's journal, in a file that outlives the gateway.
 *
 * One slot of 64 bytes a session, little-endian:
 *
 *     0  u32  0: free, 1: taken, 3: taken by a session that has just come for the first time
 *     8  16 bytes  the session's key
 *     24 f64  number of the last message that it has had
 *     32 f64  number of the newest message when it came for the first time
 *     40 f64  when its connection ended, in milliseconds since the epoch; 0: it has one
 *
 * What changes in one turn of the event loop is written at its end, in one write: the page cache survives the process.
 * While the file cannot be written to, a gateway that is ended by force forgets the cursors; nothing else is lost.
 */

import { closeSync, constants, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../../log.js'

export const KEY_BYTES = 16
const SLOT_BYTES = 64
const TAKEN = 1
const NEW = 2
const KEY_AT = 8
const CURSOR_AT = 24
const BEGAN_AT = 32
const AWAY_SINCE_AT = 40

export interface Cursor {
  /** Number of the last message that the session has had. */
  readonly seq: number
  /** Number of the newest message when it came for the first time. */
  readonly began: number
  /** It has come for the first time just now. */
  readonly isNew: boolean
  /** When its connection ended, in milliseconds since the epoch; null: it has one. */
  readonly awaySince: number | null
}

export interface CursorSlot {
  /** What the file says; null: it is new. */
  readonly before: Cursor | null
  set(cursor: Cursor): void
  /** The session is over. */
  free(): void
}

export class CursorFile {
  readonly #path: string
  readonly #log: Log
  #file: number | null = null
  #image = Buffer.alloc(0)
  /** Slots by key, in hexadecimal digits. */
  readonly #slots = new Map<string, number>()
  #failed = false
  /** First and last slot that are not written yet. */
  #dirty: { from: number; to: number } | null = null

  /** Opens `cursors` in that folder, or makes it. Never throws: without a file it works in memory. */
  constructor(folder: string, log: Log) {
    this.#path = join(folder, 'cursors')
    this.#log = log
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      this.#file = openSync(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600)
      const bytes = readFileSync(this.#file)
      this.#image = Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % SLOT_BYTES)))
    } catch (error) {
      this.#fail(error)
    }
    for (let at = 0; at < this.#image.length; at += SLOT_BYTES) {
      if ((this.#image.readUInt32LE(at) & TAKEN) !== 0) this.#slots.set(this.#keyAt(at), at / SLOT_BYTES)
    }
  }

  /** Keys of all sessions that have a slot. */
  get keys(): readonly string[] {
    return [...this.#slots.keys()]
  }

  /** The session's slot, which it gets if it has none. `key`: 32 hexadecimal digits. */
  slot(key: string): CursorSlot {
    const known = this.#slots.get(key)
    const before = known === undefined ? null : this.#read(known)
    const slot = known ?? this.#take(key)
    return {
      before,
      set: (cursor) => {
        const at = slot * SLOT_BYTES
        this.#image.writeUInt32LE(cursor.isNew ? TAKEN | NEW : TAKEN, at)
        this.#image.writeDoubleLE(cursor.seq, at + CURSOR_AT)
        this.#image.writeDoubleLE(cursor.began, at + BEGAN_AT)
        this.#image.writeDoubleLE(cursor.awaySince ?? 0, at + AWAY_SINCE_AT)
        this.#touch(slot)
      },
      free: () => {
        if (this.#slots.get(key) !== slot) return
        this.#slots.delete(key)
        this.#image.fill(0, slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES)
        this.#touch(slot)
      },
    }
  }

  close(): void {
    this.#flush()
    if (this.#file !== null) closeSync(this.#file)
    this.#file = null
  }

  #take(key: string): number {
    const used = new Set(this.#slots.values())
    let slot = 0
    while (used.has(slot)) slot += 1
    const missing = (slot + 1) * SLOT_BYTES - this.#image.length
    if (missing > 0) this.#image = Buffer.concat([this.#image, Buffer.alloc(missing)])
    this.#image.write(key, slot * SLOT_BYTES + KEY_AT, KEY_BYTES, 'hex')
    this.#slots.set(key, slot)
    return slot
  }

  #keyAt(at: number): string {
    return this.#image.toString('hex', at + KEY_AT, at + KEY_AT + KEY_BYTES)
  }

  #read(slot: number): Cursor {
    const at = slot * SLOT_BYTES
    return {
      seq: this.#image.readDoubleLE(at + CURSOR_AT),
      began: this.#image.readDoubleLE(at + BEGAN_AT),
      isNew: (this.#image.readUInt32LE(at) & NEW) !== 0,
      awaySince: this.#image.readDoubleLE(at + AWAY_SINCE_AT) || null,
    }
  }

  #touch(slot: number): void {
    if (this.#dirty === null) {
      this.#dirty = { from: slot, to: slot }
      // Behind all that is written to clients in this turn.
      process.nextTick(() => this.#flush())
      return
    }
    this.#dirty.from = Math.min(this.#dirty.from, slot)
    this.#dirty.to = Math.max(this.#dirty.to, slot)
  }

  #flush(): void {
    const dirty = this.#dirty
    this.#dirty = null
    if (dirty === null || this.#file === null) return
    // After a failure nobody knows what is there.
    const from = this.#failed ? 0 : dirty.from * SLOT_BYTES
    const to = this.#failed ? this.#image.length : (dirty.to + 1) * SLOT_BYTES
    try {
      writeSync(this.#file, this.#image, from, to - from, from)
      this.#failed = false
    } catch (error) {
      this.#fail(error)
    }
  }

  /** It is tried again with the next change. */
  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    if (!this.#failed) this.#log('error', 'storage_failed', { file: this.#path, message })
    this.#failed = true
  }
}
