/**
 * One SQLite database that several processes share.
 *
 * SQLite's calls are synchronous, so that whatever runs inside `read` or `write` must be short. Waiting for another
 * process's write is done between tries, not inside SQLite, which would hold up everything else that this process does.
 */

import { closeSync, openSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type LibsqlDatabase from 'libsql'
import { SavepointError } from '../errors.js'
import { makeFolder } from '../folders.js'
import type { Log } from '../log.js'
import { errnoOf } from './durable-files.js'
import { storeLimits } from './limits.js'
import { isCurrent, migrate } from './migrations.js'

export type Value = string | number | Uint8Array | null
export type Row = Readonly<Record<string, unknown>>

/** What one transaction may do. */
export interface Sql {
  all(statement: string, ...values: Value[]): Row[]
  /** The row id of the last row that was inserted. */
  run(statement: string, ...values: Value[]): number
  /** Several statements without values. */
  script(statements: string): void
}

interface Connection extends Sql {
  close(): void
}

export class Database {
  /** Grows when a damaged database was replaced by an empty one. */
  generation = 0
  readonly #path: string
  readonly #log: Log
  #connection: Connection
  #inode: number | null
  #closed = false
  #reopening: Promise<void> | null = null

  private constructor(path: string, log: Log, connection: Connection, inode: number | null) {
    this.#path = path
    this.#log = log
    this.#connection = connection
    this.#inode = inode
  }

  /**
   * Opens or makes the database at `path`. One that SQLite cannot read is moved aside with a line in the log, and an
   * empty one takes its place. Throws `storage_failed`: a newer release wrote it, it is locked, it cannot be written.
   */
  static async open(path: string, log: Log): Promise<Database> {
    const { connection, inode, replaced } = await connectOrReplace(path, log)
    const database = new Database(path, log, connection, inode)
    if (replaced) database.generation += 1
    return database
  }

  /** An empty database that ends with the process. Throws `storage_failed` when SQLite itself cannot be loaded. */
  static async openInMemory(log: Log): Promise<Database> {
    return Database.open(MEMORY, log)
  }

  /** Runs `work`, which only reads. Throws `storage_failed`. */
  read<T>(work: (sql: Sql) => T): Promise<T> {
    return this.#attempt(work)
  }

  /** Runs `work` as one transaction that is kept whole or not at all. Throws `storage_failed`. */
  write<T>(work: (sql: Sql) => T): Promise<T> {
    return this.#attempt((sql) => inTransaction(sql, work))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    try {
      // The library keeps its files until statements are garbage, which at the end of a process is never: the log is
      // put into the database here, where SQLite would otherwise do it.
      this.#connection.all('PRAGMA wal_checkpoint(PASSIVE)')
    } catch {
      // A log that stays is read by whoever opens the database next.
    }
    this.#connection.close()
  }

  async #attempt<T>(work: (sql: Sql) => T): Promise<T> {
    try {
      return await this.#whenFree(work)
    } catch (error) {
      if (this.#path === MEMORY || !isDamage(error)) throw failure(this.#path, error)
      await this.#replace()
    }
    try {
      return await this.#whenFree(work)
    } catch (error) {
      throw failure(this.#path, error)
    }
  }

  async #whenFree<T>(work: (sql: Sql) => T): Promise<T> {
    if (this.#isGone()) await this.#reopen()
    return await untilFree(() => {
      if (this.#closed) throw new SavepointError('storage_failed', `The database ${this.#path} is closed.`)
      return work(this.#connection)
    })
  }

  /** What is written to a file that was removed or moved is lost without a word. */
  #isGone(): boolean {
    if (this.#path === MEMORY || this.#closed) return false
    return statSync(this.#path, { throwIfNoEntry: false })?.ino !== this.#inode
  }

  /** Somebody removed the data folder, or put another one in its place: goes on with what is there now. */
  #reopen(): Promise<void> {
    this.#reopening ??= (async () => {
      makeFolder(dirname(this.#path), 0o700)
      const { connection, inode } = await connectOrReplace(this.#path, this.#log)
      this.#connection.close()
      this.#connection = connection
      this.#inode = inode
      this.generation += 1
      this.#log('error', 'database_gone', { path: this.#path, effect: 'what was in it is gone; an empty one is used' })
    })().finally(() => {
      this.#reopening = null
    })
    return this.#reopening
  }

  async #replace(): Promise<void> {
    this.#connection.close()
    moveAside(this.#path, this.#inode, this.#log)
    const { connection, inode } = await connectOrReplace(this.#path, this.#log)
    this.#connection = connection
    this.#inode = inode
    this.generation += 1
  }
}

const MEMORY = ':memory:'

interface Connected {
  readonly connection: Connection
  readonly inode: number | null
  readonly replaced: boolean
}

async function connectOrReplace(path: string, log: Log): Promise<Connected> {
  let inode: number | null = null
  try {
    inode = path === MEMORY ? null : createPrivately(path)
    return { connection: await connect(path), inode, replaced: false }
  } catch (error) {
    if (path === MEMORY || !isDamage(error)) throw failure(path, error)
  }
  moveAside(path, inode, log)
  try {
    inode = createPrivately(path)
    return { connection: await connect(path), inode, replaced: true }
  } catch (error) {
    throw failure(path, error)
  }
}

/** SQLite gives its journal the mode of the database, so that this one mode is enough. */
function createPrivately(path: string): number {
  closeSync(openSync(path, 'a', 0o600))
  return statSync(path).ino
}

async function connect(path: string): Promise<Connection> {
  // Loaded here and not at the top: the library is native code, and a kernel's first cell does not wait for it.
  const { default: Libsql } = await import('libsql')
  const database = new Libsql(path)
  const connection = connectionTo(database)
  try {
    database.pragma(`busy_timeout = ${storeLimits.busyBlockMs}`)
    await untilFree(() => {
      // Changing the mode takes a lock, asking for it does not.
      const mode = connection.all('PRAGMA journal_mode')[0]?.['journal_mode']
      if (mode !== 'wal' && mode !== 'memory') connection.all('PRAGMA journal_mode = WAL')
      // With a write-ahead log, a power failure may cost the last transactions under NORMAL but never damages. What
      // must survive one (checkpoints) lies in files of its own, from which the index is made again.
      database.pragma('synchronous = NORMAL')
      if (!isCurrent(connection)) inTransaction(connection, migrate)
    })
    return connection
  } catch (error) {
    connection.close()
    throw error
  }
}

function connectionTo(database: LibsqlDatabase.Database): Connection {
  // Ours are a few dozen constant texts. The library lets go of a statement only when it is garbage, so that they are
  // kept and used again.
  const statements = new Map<string, LibsqlDatabase.Statement<Value[]>>()
  const prepared = (text: string): LibsqlDatabase.Statement<Value[]> => {
    const statement = statements.get(text) ?? database.prepare<Value[]>(text)
    statements.set(text, statement)
    return statement
  }
  return {
    all: (text, ...values) => prepared(text).all(...values) as Row[],
    run: (text, ...values) => Number(prepared(text).run(...values).lastInsertRowid),
    script: (texts) => void database.exec(texts),
    close() {
      statements.clear()
      database.close()
    },
  }
}

function inTransaction<T>(sql: Sql, work: (sql: Sql) => T): T {
  // IMMEDIATE takes the write lock first: a transaction that begins by reading can find it gone when it comes to write.
  sql.script('BEGIN IMMEDIATE')
  try {
    const result = work(sql)
    sql.script('COMMIT')
    return result
  } catch (error) {
    try {
      sql.script('ROLLBACK')
    } catch {
      // SQLite has already rolled back (a full disk does that); the first error is the one to tell.
    }
    throw error
  }
}

/** Tries again, with growing random pauses, for as long as another process holds the lock. */
async function untilFree<T>(attempt: () => T): Promise<T> {
  const deadline = performance.now() + storeLimits.busyWaitMs
  for (
    let longest: number = storeLimits.busyPauseMsMin;
    ;
    longest = Math.min(longest * 2, storeLimits.busyPauseMsMax)
  ) {
    try {
      return attempt()
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error
    }
    await pause(storeLimits.busyPauseMsMin + Math.random() * longest)
  }
}

/**
 * Renames what cannot be read. Another process may have done so at the same moment: what then lies at `path` is the
 * new database, which its inode tells.
 */
function moveAside(path: string, inode: number | null, log: Log): void {
  if (statSync(path, { throwIfNoEntry: false })?.ino !== inode) return
  const aside = `${path}.damaged-${new Date().toISOString().replace(/[:.]/g, '-')}`
  // The log goes first: an empty database beside the log of a damaged one would take that log for its own.
  for (const suffix of ['-wal', '-shm', '']) {
    try {
      renameSync(path + suffix, aside + suffix)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw failure(path, error)
    }
  }
  log('error', 'database_damaged', { path, moved_to: aside })
}

/** The low byte of SQLite's extended result code: https://sqlite.org/rescode.html */
function resultCode(error: unknown): number | null {
  const code = (error as { rawCode?: unknown } | null)?.rawCode
  return typeof code === 'number' ? code & 0xff : null
}

function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  return code === SQLITE_BUSY || code === SQLITE_LOCKED
}

function isDamage(error: unknown): boolean {
  const code = resultCode(error)
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB
}

const SQLITE_BUSY = 5
const SQLITE_LOCKED = 6
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

function failure(path: string, error: unknown): SavepointError {
  if (error instanceof SavepointError) return error
  const reason = error instanceof Error ? error.message : String(error)
  const remedy = isBusy(error)
    ? 'Another process keeps it locked; end that one, or try again.'
    : 'Check that its folder can be written and has room, or give another one with --data-dir.'
  const message = `The database ${path} cannot be used: ${reason}. ${remedy}`
  return new SavepointError('storage_failed', message, { path, reason }, { cause: error })
}
