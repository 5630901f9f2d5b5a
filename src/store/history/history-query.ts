/**
 * `history_request`: what is asked, and the rows that answer it.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#history, and IPython's own history manager
 * where the specification is silent (order, defaults, negative numbers).
 */

import { SavepointError } from '../../errors.js'
import type { Row, Sql } from '../database.js'
import { storeLimits } from '../limits.js'

/** [session, line, input], or [session, line, [input, output]] where outputs were asked for. */
export type HistoryRow = readonly [number, number, string | readonly [string, string | null]]

/** The content of a history_request as it came: checked here. */
export type HistoryRequest = Readonly<Record<string, unknown>>

/** Who asks: only what its subject has typed is there for it. */
export interface Viewpoint {
  readonly subject: string
  /** The present session. */
  readonly session: number
}

/** Answers `request`, oldest row first. An unknown kind of request has no rows. */
export function queryHistory(sql: Sql, viewpoint: Viewpoint, request: HistoryRequest): HistoryRow[] {
  const kind = request['hist_access_type']
  if (kind === 'tail') return tail(sql, viewpoint, request)
  if (kind === 'range') return range(sql, viewpoint, request)
  if (kind === 'search') return search(sql, viewpoint, request)
  return []
}

/** The last n of all, the present session's last: what was typed here is nearest to the prompt. */
function tail(sql: Sql, { subject, session }: Viewpoint, request: HistoryRequest): HistoryRow[] {
  const limit = rowLimit(request['n'], TAIL_ROWS)
  const statement = (which: string): string =>
    `${select(request)} AND sessions.session ${which} ? ORDER BY sessions.session DESC, line DESC LIMIT ?`
  // Two questions, since each follows the table's own order, while one for both would sort all that was ever typed.
  const own = sql.all(statement('='), subject, session, limit)
  const others = sql.all(statement('!='), subject, session, limit - own.length)
  return answer(request, [...own, ...others]).reverse()
}

/**
 * The lines from `start` up to, but not including, `stop`. Session 0 is the present one and is called 0 in the answer;
 * a negative one counts back from it. Negative lines count back from the line that the next cell would get.
 */
function range(sql: Sql, { subject, session: present }: Viewpoint, request: HistoryRequest): HistoryRow[] {
  const asked = wholeNumber(request['session']) ?? 0
  const session = asked < 0 ? sessionBefore(sql, subject, present, -asked) : asked === 0 ? present : asked
  const last = sql.all('SELECT max(line) AS line FROM history WHERE session = ?', session)[0]?.['line']
  const end = Number(last ?? 0) + 1
  const fromEnd = (line: number): number => (line < 0 ? line + end : line)
  const start = fromEnd(wholeNumber(request['start']) ?? 0)
  // IPython treats 0 like null: up to the end.
  const stop = fromEnd(wholeNumber(request['stop']) || end)
  const statement = `${select(request)} AND sessions.session = ? AND line >= ? AND line < ? ORDER BY line LIMIT ?`
  const rows = answer(request, sql.all(statement, subject, session, start, stop, storeLimits.historyAnswerRowsMax))
  return asked === 0 ? rows.map(([, line, input]) => [0, line, input]) : rows
}

/** The session that is `back` sessions of the same subject before; 0, which no session has, if there is none. */
function sessionBefore(sql: Sql, subject: string, present: number, back: number): number {
  const statement =
    'SELECT session FROM sessions WHERE subject = ? AND session < ? ORDER BY session DESC LIMIT 1 OFFSET ?'
  return Number(sql.all(statement, subject, present, back - 1)[0]?.['session'] ?? 0)
}

/** Inputs that match a pattern with `*`, `?` and `[...]`; always the text as it was typed, whatever is shown of it. */
function search(sql: Sql, { subject }: Viewpoint, request: HistoryRequest): HistoryRow[] {
  const pattern = typeof request['pattern'] === 'string' ? request['pattern'] : '*'
  if (pattern.length > storeLimits.historyPatternCharsMax) {
    throw new SavepointError(
      'bad_request',
      `A search pattern has ${storeLimits.historyPatternCharsMax} characters at most. Search for a part of it.`,
    )
  }
  const limit = rowLimit(request['n'], storeLimits.historyAnswerRowsMax)
  const unique = request['unique'] === true
  const which = unique ? LATEST_OF_EQUAL : 'history.source_raw GLOB ?'
  const statement = `${select(request)} AND ${which} ORDER BY sessions.session DESC, line DESC LIMIT ?`
  return answer(request, sql.all(statement, subject, ...(unique ? [subject] : []), pattern, limit)).reverse()
}

const LATEST_OF_EQUAL = `history.rowid IN (
  SELECT id FROM (
    SELECT history.rowid AS id, row_number() OVER (PARTITION BY source_raw ORDER BY session DESC, line DESC) AS age
    FROM sessions CROSS JOIN history USING (session) WHERE subject = ? AND source_raw GLOB ?
  ) WHERE age = 1
)`

/** Rows of one subject, by further conditions. CROSS keeps the order of the tables, in which no row has to be sorted. */
function select(request: HistoryRequest): string {
  const source = request['raw'] === false ? 'coalesce(history.source, history.source_raw)' : 'history.source_raw'
  const output = request['output'] === true
  return `SELECT sessions.session AS session, line, ${source} AS input${output ? ', output' : ''}
    FROM sessions CROSS JOIN history USING (session)${output ? ' LEFT JOIN outputs USING (session, line)' : ''}
    WHERE sessions.subject = ?`
}

function answer(request: HistoryRequest, rows: readonly Row[]): HistoryRow[] {
  const withOutput = request['output'] === true
  return rows.map((row) => {
    const input = String(row['input'])
    const output = typeof row['output'] === 'string' ? row['output'] : null
    return [Number(row['session']), Number(row['line']), withOutput ? [input, output] : input]
  })
}

/** IPython's default for `tail`. */
const TAIL_ROWS = 10

function rowLimit(value: unknown, fallback: number): number {
  return Math.min(Math.max(wholeNumber(value) ?? fallback, 0), storeLimits.historyAnswerRowsMax)
}

function wholeNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : null
}
