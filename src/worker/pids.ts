/** Processes that are not our children: a pid alone may be somebody else's by now. */

import { readdirSync, readFileSync } from 'node:fs'

/** When the process began, in ticks since the machine did; null: there is none, or it has ended and waits to be reaped. */
export function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of its program stands in parentheses, and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state] = fields
    return state === 'Z' || state === 'X' ? null : (fields[19] ?? null)
  } catch {
    return null
  }
}

/** One that began at that time. */
export interface KnownProcess {
  readonly pid: number
  /** See `startOf`. */
  readonly started: string
}

export function runs({ pid, started }: KnownProcess): boolean {
  return startOf(pid) === started
}

/** Signals it, unless its pid is somebody else's by now. */
export function signal(known: KnownProcess, name: NodeJS.Signals): void {
  if (!runs(known)) return
  try {
    process.kill(known.pid, name)
  } catch {
    // It has just ended.
  }
}

/** Ends it and all of its descendants by force, at once. */
export function killFamily(known: KnownProcess): void {
  if (!runs(known)) return
  const family = [known.pid]
  const parents = new Map<number, number>(
    readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [[Number(name), parentOf(name)] as const] : [])),
  )
  for (const ancestor of family) for (const [pid, parent] of parents) if (parent === ancestor) family.push(pid)
  for (const pid of family) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has just ended.
    }
  }
}

function parentOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0
  }
}
