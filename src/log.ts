/**
 * One line per event on stderr. Never keys, tokens or cell text: callers pass facts, not messages of clients.
 */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>
export type Log = (level: LogLevel, event: string, fields?: LogFields) => void

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }

/** A log that writes `time level event key=value ...` lines of at least `threshold` to `write`. */
export function lineLog(threshold: LogLevel, write: (line: string) => void): Log {
  return (level, event, fields = {}) => {
    if (RANK[level] < RANK[threshold]) return
    const rest = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(
        ([key, value]) =>
          ` ${key}=${typeof value === 'string' && /[\s"=]/.test(value) ? JSON.stringify(value) : value}`,
      )
      .join('')
    write(`${new Date().toISOString()} ${level} ${event}${rest}\n`)
  }
}

export const silentLog: Log = () => {}
