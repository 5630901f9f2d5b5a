/**
 * The database's versions. A version that was released never changes; a new one is added below it.
 */

import { SavepointError } from '../errors.js'
import type { Sql } from './database.js'
import { LOCAL_OWNER } from './owner.js'

interface Migration {
  readonly name: string
  readonly sql: string
}

/** Version n is the n-th of them, counted from 1. */
const MIGRATIONS: readonly Migration[] = [
  {
    name: 'history and checkpoints',
    sql: `
      CREATE TABLE sessions (
        session INTEGER PRIMARY KEY AUTOINCREMENT,
        owner TEXT NOT NULL,
        kernel_id TEXT NOT NULL,
        started_at TEXT NOT NULL
      );
      CREATE TABLE history (
        session INTEGER NOT NULL,
        line INTEGER NOT NULL,
        source_raw TEXT NOT NULL,
        source TEXT,
        PRIMARY KEY (session, line)
      );
      CREATE TABLE outputs (
        session INTEGER NOT NULL,
        line INTEGER NOT NULL,
        output TEXT NOT NULL,
        PRIMARY KEY (session, line)
      );
      CREATE TABLE checkpoints (
        checkpoint_id TEXT PRIMARY KEY,
        kernel_id TEXT NOT NULL,
        name TEXT,
        branch TEXT NOT NULL,
        record TEXT NOT NULL
      );
      CREATE INDEX checkpoints_by_name ON checkpoints (name, checkpoint_id);
      CREATE INDEX checkpoints_by_kernel ON checkpoints (kernel_id, checkpoint_id);
    `,
  },
  {
    // Not `owner`, which in sessions is the process that writes them.
    name: 'whose each record is',
    sql: `
      ALTER TABLE sessions ADD COLUMN subject TEXT NOT NULL DEFAULT '${LOCAL_OWNER}';
      ALTER TABLE checkpoints ADD COLUMN subject TEXT NOT NULL DEFAULT '${LOCAL_OWNER}';
      CREATE INDEX sessions_by_subject ON sessions (subject, session);
      CREATE INDEX checkpoints_by_subject ON checkpoints (subject, checkpoint_id);
    `,
  },
  {
    // Rows of packs are never numbered twice: a collection knows by its number what came after it had begun.
    name: 'chunks and packs of checkpoints',
    sql: `
      CREATE TABLE packs (
        pack INTEGER PRIMARY KEY AUTOINCREMENT,
        pack_id TEXT NOT NULL UNIQUE,
        subject TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        chunks INTEGER NOT NULL,
        emptied_ms INTEGER
      );
      CREATE INDEX packs_by_subject ON packs (subject, pack);
      CREATE TABLE chunks (
        subject TEXT NOT NULL,
        digest BLOB NOT NULL,
        pack INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        stored INTEGER NOT NULL,
        raw INTEGER NOT NULL,
        codec INTEGER NOT NULL,
        PRIMARY KEY (subject, digest)
      ) WITHOUT ROWID;
      CREATE INDEX chunks_by_pack ON chunks (pack);
      CREATE TABLE heads (
        subject TEXT NOT NULL,
        kernel_id TEXT NOT NULL,
        head TEXT,
        branch TEXT NOT NULL,
        PRIMARY KEY (subject, kernel_id)
      );
      CREATE TABLE collections (
        subject TEXT PRIMARY KEY,
        generation INTEGER NOT NULL,
        holder TEXT,
        until_ms INTEGER NOT NULL
      );
    `,
  },
  {
    name: 'how much checkpoints take, and whether there is garbage',
    sql: `
      ALTER TABLE checkpoints ADD COLUMN file_bytes INTEGER NOT NULL DEFAULT 0;
      UPDATE checkpoints SET file_bytes = json_extract(record, '$.written_bytes')
        WHERE json_extract(record, '$.format_version') = 1;
      ALTER TABLE collections ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
    `,
  },
]

/** The version that the database has; 0 for a new one. Throws `storage_failed` when it is newer than this program. */
export function schemaVersion(sql: Sql): number {
  const known = sql.all("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'").length > 0
  if (!known) return 0
  const version = Number(sql.all('SELECT max(version) AS version FROM migrations')[0]?.['version'] ?? 0)
  if (version <= MIGRATIONS.length) return version
  throw new SavepointError(
    'storage_failed',
    `The database was written by a newer release (its version is ${version}, this one knows ${MIGRATIONS.length}). ` +
      'Update this program, or give another folder with --data-dir.',
    { version, known: MIGRATIONS.length },
  )
}

export function isCurrent(sql: Sql): boolean {
  return schemaVersion(sql) === MIGRATIONS.length
}

/** Brings the database to the newest version; to be called inside one write transaction. */
export function migrate(sql: Sql): void {
  // Read again inside the transaction: two processes may start at once, and the second finds the work done.
  const from = schemaVersion(sql)
  sql.script(
    'CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)',
  )
  MIGRATIONS.slice(from).forEach((migration, index) => {
    sql.script(migration.sql)
    const applied = new Date().toISOString()
    sql.run('INSERT INTO migrations VALUES (?, ?, ?)', from + index + 1, migration.name, applied)
  })
}
