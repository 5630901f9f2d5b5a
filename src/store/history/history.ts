/**
 * The history of one kernel: every cell that is stored, under IPython's numbering of sessions and lines.
 *
 * Writing waits until there is something to write together, so that a cell costs no transaction. As long as the
 * database cannot be used, the present sessions live in one in memory: that costs the user one warning, and earlier
 * sessions, never a cell. The database is tried again now and then, and gets what it has missed.
 */

import { randomUUID } from 'node:crypto'
import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import type { Log } from '../../log.js'
import { Database, type Sql } from '../database.js'
import { addMissed, missedRows } from './missed.js'
import { queryHistory, type HistoryRequest, type HistoryRow } from './history-query.js'
import { storeLimits } from '../limits.js'

export interface HistoryOptions {
  readonly kernelId: string
  /** Whose kernel it is: nobody else's cells are shown. */
  readonly owner: string
  /** What its first session is known by, for who goes on with it in another process; absent: nobody does. */
  readonly session?: string
  readonly log: Log
  readonly clock: Clock
  /** Called when the database is first needed; may be called again after it failed. */
  readonly openDatabase: () => Promise<Database>
  /** Lines that will never be kept. */
  readonly onLost?: (lines: number) => void
}

export interface HistoryEntry {
  /** The cell's execution count. */
  readonly line: number
  /** The text as it was typed. */
  readonly source: string
  /** The text after IPython's transformations, where it is known. */
  readonly transformed?: string
}

/** Its number is given when it is first written or asked for: a kernel that runs nothing leaves no session. */
interface Session {
  /** Random: which process writes it. Whose it is stands in `subject`. */
  readonly owner: string
  readonly startedAt: string
  number: number | null
  lastLine: number
}

type Pending =
  | { readonly session: Session; readonly entry: HistoryEntry }
  | { readonly session: Session; readonly line: number; readonly transformed: string }
  | { readonly session: Session; readonly line: number; readonly output: string }

export class History {
  readonly #options: HistoryOptions
  #session: Session
  #pending: Pending[] = []
  #overflowed = false
  /** That lines are lost is told. */
  #telling = false
  #cancelTimer: (() => void) | null = null
  /** The last write that was begun; each begins when the one before has ended. Never rejects. */
  #writing: Promise<void> = Promise.resolve()
  /** Null once the database failed and not even one in memory could be had. */
  #memory: Database | null | undefined
  #fallingBack: Promise<void> | null = null
  #returning: Promise<void> | null = null
  /** When the database was tried last, by the monotonic clock. */
  #triedAt = 0

  constructor(options: HistoryOptions) {
    this.#options = options
    this.#session = this.#newSession(options.session)
  }

  /** The number of the present session, given now if it has none. */
  async session(): Promise<number> {
    await this.query({})
    return this.#session.number ?? 1
  }

  /** Begins a new session, as a restart of the kernel does: lines count from 1 again. */
  beginSession(): void {
    this.#session = this.#newSession()
  }

  /** Keeps one input. A line that the session already has begins a new session. */
  record(entry: HistoryEntry): void {
    if (entry.line <= this.#session.lastLine) this.beginSession()
    this.#session.lastLine = entry.line
    // IPython does not keep what ends it: the first thing that an up-arrow in the next console would offer.
    if (LEAVING.test(entry.source.trim())) return
    this.#add({ session: this.#session, entry })
  }

  /** Keeps what became of a line: its text after IPython's transformations, the text of its result. */
  recordResult(line: number, { transformed, output }: { transformed?: string | null; output?: string | null }): void {
    const session = this.#session
    if (typeof transformed === 'string') this.#add({ session, line, transformed })
    if (typeof output === 'string') this.#add({ session, line, output })
  }

  /** Rows for a history_request, all that was recorded included. Throws `bad_request`. */
  async query(request: HistoryRequest): Promise<HistoryRow[]> {
    await this.flush()
    const session = this.#session
    const rows = await this.#using(async (database) => {
      const { kernelId, owner } = this.#options
      const number = session.number ?? (await database.write((sql) => ensureSession(sql, session, kernelId, owner)))
      return await database.read((sql) => queryHistory(sql, { subject: owner, session: number }, request))
    })
    return rows ?? []
  }

  /** Writes what is pending. */
  async flush(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#writing = this.#writing.then(() => this.#writePending())
    await this.#writing
  }

  /** Writes what is pending, and ends. The database is its opener's to close. */
  async close(): Promise<void> {
    await this.flush()
    if (this.#memory === undefined) return
    await this.#return()
    const memory = this.#memory as Database | null | undefined
    if (!memory) return
    this.#memory = null
    this.#lost(await memory.read((sql) => Number(sql.all('SELECT count(*) AS n FROM history')[0]?.['n'])))
    memory.close()
  }

  #add(pending: Pending): void {
    this.#pending.push(pending)
    if (this.#pending.length > storeLimits.historyPendingRowsMax) {
      this.#pending.shift()
      if (!this.#overflowed) this.#options.log('warn', 'history_rows_dropped', { reason: 'the database is too slow' })
      this.#overflowed = true
      this.#options.onLost?.(1)
    }
    // The flushes that are begun here never reject; each failure has been dealt with inside.
    if (this.#pending.length === storeLimits.historyFlushRows) void this.flush()
    else this.#cancelTimer ??= this.#options.clock.after(storeLimits.historyFlushMs, () => void this.flush())
  }

  async #writePending(): Promise<void> {
    if (this.#pending.length === 0) return
    const batch = this.#pending
    this.#pending = []
    try {
      await this.#using((database) => database.write((sql) => this.#insert(sql, batch)))
      this.#overflowed = false
    } catch (error) {
      this.#lost(batch.filter((pending) => 'entry' in pending).length, error)
      return
    }
    this.#telling = false
  }

  #insert(sql: Sql, batch: readonly Pending[]): void {
    const { kernelId, owner } = this.#options
    for (const pending of batch) {
      const session = ensureSession(sql, pending.session, kernelId, owner)
      if ('entry' in pending) {
        const { line, source, transformed } = pending.entry
        const shown = transformed === undefined ? null : storable(transformed)
        sql.run('INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?)', session, line, storable(source), shown)
      } else if ('transformed' in pending) {
        const { line, transformed } = pending
        sql.run('UPDATE history SET source = ? WHERE session = ? AND line = ?', storable(transformed), session, line)
      } else {
        sql.run('INSERT OR REPLACE INTO outputs VALUES (?, ?, ?)', session, pending.line, storable(pending.output))
      }
    }
    if (this.#memory) this.#options.onLost?.(keepNewest(sql))
  }

  /** Does `work` with the database, or, when that fails, with one in memory. Null when there is none at all. */
  async #using<T>(work: (database: Database) => Promise<T>): Promise<T | null> {
    if (this.#memory !== undefined && this.#options.clock.now() - this.#triedAt >= storeLimits.historyRetryMs) {
      await this.#return()
    }
    if (this.#memory === undefined) {
      try {
        return await work(await this.#options.openDatabase())
      } catch (error) {
        if (error instanceof SavepointError && error.code === 'bad_request') throw error
        // A query and a write may fail together: one of them opens the memory, the other waits for it.
        this.#fallingBack ??= this.#fallBack(error)
        await this.#fallingBack
      }
    }
    return this.#memory ? await work(this.#memory) : null
  }

  async #fallBack(error: unknown): Promise<void> {
    const { log } = this.#options
    const effect = 'the history of this kernel ends with it unless the database can be used again before'
    log('warn', 'history_in_memory', { reason: reasonOf(error), effect })
    this.#triedAt = this.#options.clock.now()
    try {
      this.#memory = await Database.openInMemory(log)
      await this.#copySession(this.#memory)
    } catch (cause) {
      this.#memory ??= null
      log('warn', 'history_incomplete', { reason: reasonOf(cause) })
    }
  }

  /** Gives the database what it has missed, if it can be used by now. Never rejects. */
  #return(): Promise<void> {
    this.#returning ??= this.#bringBack().finally(() => {
      this.#returning = null
      this.#triedAt = this.#options.clock.now()
    })
    return this.#returning
  }

  async #bringBack(): Promise<void> {
    const memory = this.#memory
    if (memory === undefined) return
    const { kernelId, owner, log } = this.#options
    try {
      const database = await this.#options.openDatabase()
      const missed = memory === null ? [] : await memory.read(missedRows)
      const numbers = await database.write((sql) => addMissed(sql, missed, kernelId, owner))
      this.#memory = undefined
      this.#fallingBack = null
      // A session has the number there that it had before, or one that was free.
      this.#session.number = numbers.get(this.#session.owner) ?? this.#session.number
      for (const { session } of this.#pending) session.number = numbers.get(session.owner) ?? session.number
      memory?.close()
      log('info', 'history_kept_again', { lines: missed.length })
    } catch {
      // It is told already, and tried again.
    }
  }

  /** Told once, until something could be kept again. */
  #lost(lines: number, error?: unknown): void {
    if (lines === 0) return
    this.#options.onLost?.(lines)
    const reason = error === undefined ? 'the database could not be used until the end' : reasonOf(error)
    if (!this.#telling) this.#options.log('warn', 'history_rows_lost', { rows: lines, reason })
    this.#telling = true
  }

  /** A database that can no longer be written can often still be read; the present session is taken from it. */
  async #copySession(memory: Database): Promise<void> {
    const session = this.#session
    if (session.number === null) return
    const number = session.number
    const source = await this.#options.openDatabase()
    const rows = await source.read((sql) =>
      sql.all(
        `SELECT line, source_raw, source, output FROM history LEFT JOIN outputs USING (session, line)
         WHERE session = ? ORDER BY line DESC LIMIT ?`,
        number,
        storeLimits.historyMemoryRowsMax,
      ),
    )
    const copies = rows.flatMap((row): Pending[] => {
      const line = Number(row['line'])
      const transformed = typeof row['source'] === 'string' ? { transformed: row['source'] } : {}
      const entry = { session, entry: { line, source: String(row['source_raw']), ...transformed } }
      return typeof row['output'] === 'string' ? [entry, { session, line, output: row['output'] }] : [entry]
    })
    await memory.write((sql) => this.#insert(sql, copies))
  }

  #newSession(owner = randomUUID() as string): Session {
    return { owner, startedAt: this.#options.clock.date().toISOString(), number: null, lastLine: 0 }
  }
}

const LEAVING = /^(exit|quit)(\s*\(.*\))?$/

/**
 * The session's number, given now if it has none. A session keeps its number when it moves to memory or to a new
 * database, unless another kernel was given it there meanwhile.
 */
function ensureSession(sql: Sql, session: Session, kernelId: string, subject: string): number {
  if (session.number !== null) {
    const owner = sql.all('SELECT owner FROM sessions WHERE session = ?', session.number)[0]?.['owner']
    if (owner === session.owner) return session.number
    if (owner !== undefined) session.number = null
  } else {
    // An earlier process may have begun it.
    const begun = sql.all('SELECT session FROM sessions WHERE owner = ?', session.owner)[0]?.['session']
    if (begun !== undefined) return (session.number = Number(begun))
  }
  const statement = 'INSERT INTO sessions (session, owner, kernel_id, subject, started_at) VALUES (?, ?, ?, ?, ?)'
  session.number = sql.run(statement, session.number, session.owner, kernelId, subject, session.startedAt)
  return session.number
}

/** How many lines made room. */
function keepNewest(sql: Sql): number {
  const newest = (table: string): string => `(SELECT max(rowid) FROM ${table}) - ${storeLimits.historyMemoryRowsMax}`
  const old = sql.all(`SELECT count(*) AS n FROM history WHERE rowid <= ${newest('history')}`)[0]?.['n']
  for (const table of ['history', 'outputs']) sql.run(`DELETE FROM ${table} WHERE rowid <= ${newest(table)}`)
  return Number(old)
}

/** IPython stores a cell without its last line breaks. SQLite ends a text at a NUL. */
function storable(text: string): string {
  // Not by /\n+$/: that tries each run of line breaks from each of its places, hours for a cell of blank lines.
  let end = text.length
  while (text[end - 1] === '\n') end -= 1
  return text.slice(0, end).replaceAll('\0', '\ufffd')
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
