/** The table of checkpoints: an index of the files, from which it can be made again. */

import { isAutomatic, recordOf, type CheckpointRecord, type Contents } from './checkpoint-record.js'
import type { Row, Sql, Value } from '../database.js'

/** Takes up a checkpoint whose file is in its place. */
export function putRecord(sql: Sql, contents: Contents): void {
  const record = recordOf(contents)
  const statement = `INSERT OR REPLACE INTO checkpoints
    (checkpoint_id, subject, kernel_id, name, branch, record, file_bytes) VALUES (?, ?, ?, ?, ?, ?, ?)`
  const { checkpoint_id, kernel_id, name, branch } = record
  const json = JSON.stringify(record)
  sql.run(statement, checkpoint_id, contents.label.owner, kernel_id, name, branch, json, contents.fileBytes)
}

export function dropRecord(sql: Sql, id: string): void {
  sql.run('DELETE FROM checkpoints WHERE checkpoint_id = ?', id)
}

/** Whose checkpoints are meant; null: everybody's. */
export type Owner = string | null

/** A kernel's checkpoints that have this note, oldest first. */
export function idsNoted(sql: Sql, owner: Owner, kernelId: string, note: string): string[] {
  const { where, values } = conditions([
    ['kernel_id = ?', kernelId],
    [`json_extract(record, '$.note') = ?`, note],
    [OWNED, owner],
  ])
  return sql.all(`SELECT checkpoint_id FROM checkpoints ${where} ORDER BY checkpoint_id`, ...values).map(idOf)
}

/** Whose it is; null: there is no row of it. */
export function ownerOf(sql: Sql, id: string): string | null {
  const [row] = sql.all('SELECT subject FROM checkpoints WHERE checkpoint_id = ?', id)
  return row ? String(row['subject']) : null
}

/** A kernel's automatic checkpoints, newest first. */
export function automaticOf(
  sql: Sql,
  owner: string,
  kernelId: string,
): { checkpoint_id: string; created_at: string }[] {
  const statement = `SELECT checkpoint_id, json_extract(record, '$.created_at') AS created_at,
      json_extract(record, '$.note') AS note
    FROM checkpoints WHERE subject = ? AND kernel_id = ? AND name IS NULL ORDER BY checkpoint_id DESC`
  return sql
    .all(statement, owner, kernelId)
    .filter(({ note }) => isAutomatic({ name: null, note: note as string | null }))
    .map((row) => ({ checkpoint_id: idOf(row), created_at: String(row['created_at']) }))
}

/** Bytes of the owner's checkpoints without their packs. */
export function fileBytesOf(sql: Sql, owner: string): number {
  return Number(sql.all('SELECT total(file_bytes) AS bytes FROM checkpoints WHERE subject = ?', owner)[0]?.['bytes'])
}

/** Where the owner's kernels stand. */
export function allHeads(sql: Sql, owner: string): string[] {
  const statement = 'SELECT head FROM heads WHERE subject = ? AND head IS NOT NULL'
  return sql.all(statement, owner).map(({ head }) => String(head))
}

export function allIds(sql: Sql): string[] {
  return sql.all('SELECT checkpoint_id FROM checkpoints').map(idOf)
}

/** null: there is none. */
export function recordWithId(sql: Sql, owner: Owner, id: string): CheckpointRecord | null {
  const { where, values } = conditions([
    ['checkpoint_id = ?', id],
    [OWNED, owner],
  ])
  const [row] = sql.all(`SELECT record FROM checkpoints ${where}`, ...values)
  return row ? (JSON.parse(String(row['record'])) as CheckpointRecord) : null
}

/** The newest of that name: this kernel's own before any other's. */
export function newestNamed(sql: Sql, owner: Owner, name: string, kernelId: string | null): string | null {
  const { where, values } = conditions([
    ['name = ?', name],
    [OWNED, owner],
  ])
  const statement = `SELECT checkpoint_id FROM checkpoints ${where}
    ORDER BY kernel_id IS ? DESC, checkpoint_id DESC LIMIT 1`
  return sql.all(statement, ...values, kernelId).map(idOf)[0] ?? null
}

/** The newest of one kernel, or the newest before a given one. */
export function newestOfKernel(sql: Sql, owner: Owner, kernelId: string, before: string | null = null): string | null {
  const { where, values } = conditions([
    [OWNED, owner],
    ['kernel_id = ?', kernelId],
    ['checkpoint_id < ?', before],
  ])
  const statement = `SELECT checkpoint_id FROM checkpoints ${where} ORDER BY checkpoint_id DESC LIMIT 1`
  return sql.all(statement, ...values).map(idOf)[0] ?? null
}

/** What a kernel's next checkpoint follows: where it was said to stand, else its newest. */
export function currentOf(sql: Sql, owner: Owner, kernelId: string): string | null {
  const said = owner === null ? null : headOf(sql, owner, kernelId)
  return said ? said.head : newestOfKernel(sql, owner, kernelId)
}

/** Where a kernel stands, if that was ever said. */
export function headOf(sql: Sql, owner: string, kernelId: string): { head: string | null; branch: string } | null {
  const [row] = sql.all('SELECT head, branch FROM heads WHERE subject = ? AND kernel_id = ?', owner, kernelId)
  return row ? { head: row['head'] as string | null, branch: String(row['branch']) } : null
}

export function setHead(
  sql: Sql,
  owner: string,
  kernelId: string,
  { head, branch }: { readonly head: string | null; readonly branch: string },
): void {
  sql.run(
    'INSERT OR REPLACE INTO heads (subject, kernel_id, head, branch) VALUES (?, ?, ?, ?)',
    owner,
    kernelId,
    head,
    branch,
  )
}

export interface IndexQuery {
  readonly owner: Owner
  readonly kernelId: string | null
  readonly branch: string | null
  /** Looked for in names and notes; capital letters do not count in ASCII. */
  readonly text: string | null
  readonly limit: number
  /** Only checkpoints older than the one with this id. */
  readonly before: string | null
}

/** Newest first; `total` counts what the query means without `limit` and `before`. */
export function selectRecords(sql: Sql, query: IndexQuery): { items: CheckpointRecord[]; total: number } {
  const filter: Condition[] = [
    [OWNED, query.owner],
    ['kernel_id = ?', query.kernelId],
    ['branch = ?', query.branch],
    [HAS_TEXT, query.text],
  ]
  const all = conditions(filter)
  const total = Number(sql.all(`SELECT count(*) AS total FROM checkpoints ${all.where}`, ...all.values)[0]?.['total'])
  const page = conditions([...filter, ['checkpoint_id < ?', query.before]])
  const statement = `SELECT record FROM checkpoints ${page.where} ORDER BY checkpoint_id DESC LIMIT ?`
  const rows = sql.all(statement, ...page.values, query.limit)
  return { items: rows.map((row) => JSON.parse(String(row['record'])) as CheckpointRecord), total }
}

/** A comparison, left out where its value is null. */
type Condition = readonly [string, string | null]

const OWNED = 'subject = ?'
const HAS_TEXT = `instr(lower(coalesce(name, '') || char(10) || coalesce(json_extract(record, '$.note'), '')), lower(?)) > 0`

function conditions(all: readonly Condition[]): { where: string; values: Value[] } {
  const given = all.filter(([, value]) => value !== null)
  const where = given.length === 0 ? '' : `WHERE ${given.map(([comparison]) => comparison).join(' AND ')}`
  return { where, values: given.map(([, value]) => value) }
}

function idOf(row: Row): string {
  return String(row['checkpoint_id'])
}
