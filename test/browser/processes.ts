/** Processes as /proc shows them: who descends from whom. */

import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

const END_WITHIN_MS = 10_000
const GONE_WITHIN_MS = 20_000

/** The process and all that descend from it now, parents before children. */
export function family(root: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? parentOf(Number(name)) : null
    if (parent !== null) parents.set(Number(name), parent)
  }
  const members = parents.has(root) ? [root] : []
  // The list grows while it is walked.
  for (const member of members) {
    for (const [pid, parent] of parents) if (parent === member && !members.includes(pid)) members.push(pid)
  }
  return members
}

/** The pid with its command line, for people. */
export function described(pid: number): string {
  try {
    return `${pid} (${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()})`
  } catch {
    return `${pid} (ended)`
  }
}

/** SIGKILL for each of them; those that have ended meanwhile are none. */
export function kill(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

/** Those that are still there after more time than processes of ours need to see that nobody needs them. */
export async function outlived(members: readonly number[]): Promise<number[]> {
  const until = performance.now() + GONE_WITHIN_MS
  for (;;) {
    const left = members.filter((member) => family(member).length > 0)
    if (left.length === 0 || performance.now() > until) return left
    await setTimeout(50)
  }
}

/** Those of processes that were killed which are still there after ten seconds: the system takes its time to free their memory. */
export async function survivors(pids: readonly number[]): Promise<number[]> {
  let left = [...pids]
  for (const late = Date.now() + END_WITHIN_MS; left.length > 0 && Date.now() < late; await setTimeout(20)) {
    left = left.filter((pid) => family(pid).length > 0)
  }
  return left
}

function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the name in parentheses, which may hold blanks and parentheses itself.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' ? null : Number(parent)
  } catch {
    return null
  }
}
