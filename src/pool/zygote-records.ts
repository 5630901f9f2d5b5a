/**
 * What another gateway needs to go on with a zygote: one file each, with the token that the zygote dials in with. Only
 * the user may read them, and nothing of them is logged.
 */

import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../log.js'
import type { KnownProcess } from '../worker/pids.js'
import type { Seen } from './freshness.js'

export interface ZygoteNote extends KnownProcess {
  readonly version: 1
  readonly id: number
  /** What its workers are interchangeable by. */
  readonly key: string
  readonly spec: string
  readonly tenant: string
  /** Where its sockets and pipes are. */
  readonly folder: string
  readonly token: string
  /** Release of the gateway whose Python it runs. */
  readonly release: string
  /** The folders that it imported from, as they were. */
  readonly folders: Readonly<Record<string, Seen>>
}

export interface ZygoteRecords {
  /** In the order in which they were started. */
  all(): readonly ZygoteNote[]
  write(note: ZygoteNote): void
  remove(id: number): void
}

/** Throws what the file system does if the folder cannot be made. */
export function openZygoteRecords(folder: string, log: Log): ZygoteRecords {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const fileOf = (id: number): string => join(folder, `${id}.json`)
  const failed = (what: string, error: unknown): void =>
    log('error', 'zygote_record_failed', { what, reason: error instanceof Error ? error.message : String(error) })
  return {
    all() {
      const names = readdirSync(folder).filter((name) => /^\d+\.json$/.test(name))
      const notes = names.flatMap((name) => {
        try {
          const note = JSON.parse(readFileSync(join(folder, name), 'utf8')) as unknown
          if (isNote(note) && `${note.id}.json` === name) return [note]
          throw new Error('it is not what was written')
        } catch (error) {
          // Its zygote ends by itself when nobody wants it.
          failed('read', error)
          rmSync(join(folder, name), { force: true })
          return []
        }
      })
      return notes.toSorted((one, other) => one.id - other.id)
    },
    write(note) {
      const path = fileOf(note.id)
      try {
        writeFileSync(`${path}.new`, JSON.stringify(note), { mode: 0o600 })
        chmodSync(`${path}.new`, 0o600)
        renameSync(`${path}.new`, path)
      } catch (error) {
        // It serves all the same; what it does not is outlive this gateway.
        failed('write', error)
      }
    },
    remove: (id) => rmSync(fileOf(id), { force: true }),
  }
}

function isNote(value: unknown): value is ZygoteNote {
  const note = value as Partial<ZygoteNote> | null
  const texts = [note?.key, note?.spec, note?.tenant, note?.folder, note?.token, note?.started, note?.release]
  return (
    note?.version === 1 &&
    Number.isSafeInteger(note.id) &&
    Number.isSafeInteger(note.pid) &&
    texts.every((each) => typeof each === 'string') &&
    typeof note.folders === 'object'
  )
}
