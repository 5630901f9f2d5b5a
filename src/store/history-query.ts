/**
 * `history_request`: what is asked, and the rows that answer it.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#history, and IPython's own history manager
 * where the specification is silent (order, defaults, negative numbers).
 */

import { SavepointError } from '../errors.js'
import type { Row, Sql } from './database.js'
import { storeLimits } from './limits.js'

/** [session, line, input], or [session, line, [input, output]] where outputs were asked for. */
export type HistoryRow = readonly [number, number, string | readonly [string, string | null]]

/** The content of a history_request as it came: checked here. */
export type HistoryRequest = Readonly<Record<string, unknown>>

/** Answers `request` from the point of view of `session`, oldest row first. An unknown kind of request has no rows. */
export function queryHistory(sql: Sql, session: number, request: HistoryRequest): HistoryRow[] {
  const kind = request['hist_access_type']
  if (kind === 'tail') return tail(sql, session, request)
  if (kind === 'range') return range(sql, session, request)
  if (kind === 'search') return search(sql, request)
  return []
}

/** The last n of all, the present session's last: what was typed here is nearest to the prompt. */
function tail(sql: Sql, session: number, request: HistoryRequest): HistoryRow[] {
  const limit = rowLimit(request['n'], TAIL_ROWS)
  const statement = (which: string): string =>
    `${select(request)} WHERE session ${which} ? ORDER BY session DESC, line DESC LIMIT ?`
  // Two questions, since each follows the table's own order, while one for both would sort all that was ever typed.
  const own = sql.all(statement('='), session, limit)
  const others = sql.all(statement('!='), session, limit - own.length)
  return answer(request, [...own, ...others]).reverse()
}

/**
 * The lines from `start` up to, but not including, `stop`. Session 0 is the present one and is called 0 in the answer;
 * a negative one counts back from it. Negative lines count back from the line that the next cell would get.
 */
function range(sql: Sql, present: number, request: HistoryRequest): HistoryRow[] {
  const asked = wholeNumber(request['session']) ?? 0
  const session = asked <= 0 ? present + asked : asked
  const last = sql.all('SELECT max(line) AS line FROM history WHERE session = ?', session)[0]?.['line']
  const end = Number(last ?? 0) + 1
  const fromEnd = (line: number): number => (line < 0 ? line + end : line)
  const start = fromEnd(wholeNumber(request['start']) ?? 0)
  // IPython treats 0 like null: up to the end.
  const stop = fromEnd(wholeNumber(request['stop']) || end)
  const statement = `${select(request)} WHERE session = ? AND line >= ? AND line < ? ORDER BY line LIMIT ?`
  const rows = answer(request, sql.all(statement, session, start, stop, storeLimits.historyAnswerRowsMax))
  return asked === 0 ? rows.map(([, line, input]) => [0, line, input]) : rows
}

/** Inputs that match a pattern with `*`, `?` and `[...]`; always the text as it was typed, whatever is shown of it. */
function search(sql: Sql, request: HistoryRequest): HistoryRow[] {
  const pattern = typeof request['pattern'] === 'string' ? request['pattern'] : '*'
  if (pattern.length > storeLimits.historyPatternCharsMax) {
    throw new SavepointError(
      'bad_request',
      `A search pattern has ${storeLimits.historyPatternCharsMax} characters at most. Search for a part of it.`,
    )
  }
  const limit = rowLimit(request['n'], storeLimits.historyAnswerRowsMax)
  const where = request['unique'] === true ? LATEST_OF_EQUAL : 'history.source_raw GLOB ?'
  const statement = `${select(request)} WHERE ${where} ORDER BY session DESC, line DESC LIMIT ?`
  return answer(request, sql.all(statement, pattern, limit)).reverse()
}

const LATEST_OF_EQUAL = `history.rowid IN (
  SELECT id FROM (
    SELECT rowid AS id, row_number() OVER (PARTITION BY source_raw ORDER BY session DESC, line DESC) AS age
    FROM history WHERE source_raw GLOB ?
  ) WHERE age = 1
)`

function select(request: HistoryRequest): string {
  const source = request['raw'] === false ? 'coalesce(history.source, history.source_raw)' : 'history.source_raw'
  return request['output'] === true
    ? `SELECT session, line, ${source} AS input, output FROM history LEFT JOIN outputs USING (session, line)`
    : `SELECT session, line, ${source} AS input FROM history`
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
