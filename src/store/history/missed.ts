/** What a kernel's history has gathered in memory while its database could not be used, and how it gets there. */

import type { Row, Sql, Value } from '../database.js'

/** Lines with their session and output, in the order in which they were written. */
export function missedRows(sql: Sql): readonly Row[] {
  return sql.all(
    `SELECT sessions.owner, sessions.started_at, sessions.session, line, source_raw, source, output
     FROM history JOIN sessions USING (session) LEFT JOIN outputs USING (session, line) ORDER BY history.rowid`,
  )
}

/** Adds them; the numbers of their sessions, by the sessions' owner: as before, unless another one has it by now. */
export function addMissed(
  sql: Sql,
  rows: readonly Row[],
  kernelId: string,
  subject: string,
): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>()
  for (const row of rows) {
    const owner = String(row['owner'])
    const session = numbers.get(owner) ?? sessionOf(sql, row, kernelId, subject)
    numbers.set(owner, session)
    const [line, raw, source, output] = ['line', 'source_raw', 'source', 'output'].map((name) => row[name] as Value)
    sql.run('INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?)', session, line ?? 0, raw ?? '', source ?? null)
    if (typeof output === 'string')
      sql.run('INSERT OR REPLACE INTO outputs VALUES (?, ?, ?)', session, line ?? 0, output)
  }
  return numbers
}

function sessionOf(sql: Sql, row: Row, kernelId: string, subject: string): number {
  const owner = String(row['owner'])
  const there = sql.all('SELECT session FROM sessions WHERE owner = ?', owner)[0]?.['session']
  if (typeof there === 'number') return there
  const wished = Number(row['session'])
  const taken = sql.all('SELECT 1 FROM sessions WHERE session = ?', wished).length > 0
  const statement = 'INSERT INTO sessions (session, owner, kernel_id, subject, started_at) VALUES (?, ?, ?, ?, ?)'
  return sql.run(statement, taken ? null : wished, owner, kernelId, subject, String(row['started_at']))
}
