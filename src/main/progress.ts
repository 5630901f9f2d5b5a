/** A line at the terminal that says how far something is, and renews itself; nothing where there is no terminal. */

import { sizeText } from './checkpoint-lines.js'

export interface ProgressLine {
  /** So many bytes have passed. */
  readonly at: (bytes: number) => void
  /** Takes the line away; may be called again. */
  readonly end: () => void
}

/** What is over before this shows nothing. */
const SILENT_MS = 500
const EVERY_MS = 250
const CLEAR = '\r\x1b[K'

export function showProgress(doing: string, stream: NodeJS.WriteStream = process.stderr): ProgressLine {
  if (!stream.isTTY) return { at: () => {}, end: () => {} }
  const began = performance.now()
  let bytes: number | null = null
  let shown = false
  const timer = setInterval(() => {
    const ms = performance.now() - began
    if (ms < SILENT_MS) return
    shown = true
    const size = bytes === null ? '' : ` ${sizeText(bytes)},`
    stream.write(`${CLEAR}${doing}:${size} ${Math.round(ms / 1000)} s`)
  }, EVERY_MS)
  return {
    at: (passed) => void (bytes = passed),
    end() {
      clearInterval(timer)
      if (shown) stream.write(CLEAR)
      shown = false
    },
  }
}
