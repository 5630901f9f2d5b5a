/** What a command found out about this machine, the data folder or the gateway, and what to do about it. */

/** `warning`: all works, but it will not always. */
export type Level = 'ok' | 'warning' | 'problem'

export interface Finding {
  readonly name: string
  readonly level: Level
  /** What it is. */
  readonly detail: string
  /** Why it matters; null: nothing is wrong. */
  readonly why: string | null
  /** What to do, with the command for it; null when there is nothing to do. */
  readonly remedy: string | null
}

export function fine(name: string, detail: string): Finding {
  return { name, level: 'ok', detail, why: null, remedy: null }
}

export function warning(name: string, detail: string, why: string, remedy: string): Finding {
  return { name, level: 'warning', detail, why, remedy }
}

export function problem(name: string, detail: string, why: string, remedy: string): Finding {
  return { name, level: 'problem', detail, why, remedy }
}

const MARKS: Readonly<Record<Level, string>> = { ok: 'ok  ', warning: 'warn', problem: 'FAIL' }

/** One line, and below it why it matters and what to do. */
export function showFinding({ name, level, detail, why, remedy }: Finding): string {
  const below = [why, remedy]
    .filter((text) => text !== null)
    .map((text) => `      ${text.replaceAll('\n', '\n      ')}\n`)
  return `${MARKS[level]}  ${name}: ${detail}\n${below.join('')}`
}

export function megabytes(bytes: number): string {
  return bytes >= 10_737_418_240 ? `${Math.round(bytes / 1_073_741_824)} GiB` : `${Math.round(bytes / 1_048_576)} MiB`
}
