/** Logs messages that were refused: one line each, but never more than a few in a while, whatever a peer sends. */

import type { Clock } from '../clock.js'
import type { ErrorCode } from '../errors.js'
import type { Log } from '../log.js'

const WINDOW_MS = 10_000
const LINES_PER_WINDOW_MAX = 20

export type RefusalLog = (channel: string, code: ErrorCode) => void

/** What is left unsaid in one window is counted in the first line of the next. */
export function refusalLog(log: Log, clock: Clock): RefusalLog {
  let windowStart = clock.now()
  let lines = 0
  let unsaid = 0
  return (channel, code) => {
    if (clock.now() - windowStart >= WINDOW_MS) {
      if (unsaid > 0) log('warn', 'messages_refused', { count: unsaid })
      windowStart = clock.now()
      lines = 0
      unsaid = 0
    }
    if (lines >= LINES_PER_WINDOW_MAX) {
      unsaid += 1
      return
    }
    lines += 1
    log('warn', 'message_refused', { channel, code })
  }
}
