/**
 * One line per event on stderr. Never keys, tokens or cell text: callers pass facts, not messages of clients.
 *
 * What a line is about has the same name everywhere: `request` (id of a request over HTTP), `kernel`, `execution` (the
 * msg_id of a cell's request), `owner` (subject of the token whose kernel it is).
 */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>
export interface Log {
  (level: LogLevel, event: string, fields?: LogFields): void
  /** What is below is not written; absent: that is not known. */
  readonly threshold?: LogLevel
}
export type LogFormat = 'text' | 'json'

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }

/** A log that writes lines of at least `threshold` to `write`: `time level event key=value ...`, or objects of JSON. */
export function lineLog(threshold: LogLevel, write: (line: string) => void, format: LogFormat = 'text'): Log {
  const line = format === 'json' ? jsonLine : textLine
  const log = (level: LogLevel, event: string, fields: LogFields = {}): void => {
    if (RANK[level] >= RANK[threshold]) write(`${line(new Date().toISOString(), level, event, fields)}\n`)
  }
  return Object.assign(log, { threshold })
}

/** Whether a line may be written: what it would hold need not be made otherwise. */
export function isWritten({ threshold = 'debug' }: Log, level: LogLevel): boolean {
  return RANK[level] >= RANK[threshold]
}

function textLine(time: string, level: LogLevel, event: string, fields: LogFields): string {
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) => ` ${key}=${typeof value === 'string' && /[\s"=]/.test(value) ? JSON.stringify(value) : value}`,
    )
    .join('')
  return `${time} ${level} ${event}${rest}`
}

function jsonLine(time: string, level: LogLevel, event: string, fields: LogFields): string {
  return JSON.stringify({ ...fields, time, level, event })
}

/** The same log, with these fields on every line. */
export function childLog(log: Log, common: LogFields): Log {
  return (level, event, fields = {}) => log(level, event, { ...common, ...fields })
}

export const silentLog: Log = () => {}
