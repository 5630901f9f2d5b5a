/**
 * How far a checkpoint is, for the person whose cell waits for it: a line that renews itself, and is gone in the end.
 *
 * The cell waits for its answer meanwhile, so the line is put out for it here.
 */

import { publishText } from './send.js'
import type { KernelState } from './state.js'

export interface ProgressLine {
  /** Header of the cell's request. */
  readonly parent: Buffer
  /** Characters that it has now; 0: nothing was shown. */
  width: number
}

export interface ProgressFacts {
  readonly done_bytes: number
  /** null: it is not known yet. */
  readonly total_bytes: number | null
  readonly variable: string | null
}

const NAME_CHARACTERS_MAX = 40

export function showLine(state: KernelState, line: ProgressLine, facts: ProgressFacts): void {
  const text = progressText(facts)
  publishText(state, 'stdout', line.parent, `\r${text.padEnd(line.width)}`)
  line.width = text.length
}

export function clearLine(state: KernelState, line: ProgressLine): void {
  if (line.width > 0) publishText(state, 'stdout', line.parent, `\r${' '.repeat(line.width)}\r`)
  line.width = 0
}

function progressText({ done_bytes: done, total_bytes: total, variable }: ProgressFacts): string {
  const of = total === null ? '' : ` of ${megabytes(total)} (${Math.floor((100 * done) / Math.max(total, 1))} %)`
  const at = variable === null ? '' : `, at ${variable.slice(0, NAME_CHARACTERS_MAX)}`
  return `Saving: ${megabytes(done)}${of}${at}`
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
