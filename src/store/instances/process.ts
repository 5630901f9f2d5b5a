/** Which process did something, and whether it still lives: pids are used again, so one alone says nothing. */

import { readFileSync, readlinkSync } from 'node:fs'

export interface ProcessIdentity {
  readonly pid: number
  /** When it started, in ticks since the machine did; null where the system does not tell. */
  readonly pid_started: string | null
}

/** This process. */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, pid_started: startOf(process.pid) }
}

/** Whether that very process lives, as far as a process of this place can tell. */
export function isSameProcess({ pid, pid_started }: ProcessIdentity): boolean {
  if (!isAlive(pid)) return false
  const started = startOf(pid)
  return started === null || pid_started === null || started === pid_started
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  // One that nobody has waited for yet has ended all the same.
  return statOf(pid)?.[0] !== 'Z'
}

/** Machine, boot and pid namespace: only a process of the same place can be asked whether it lives. */
export function ownPlace(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return ''
  }
}

function startOf(pid: number): string | null {
  return statOf(pid)?.[19] ?? null
}

/** The fields of proc(5)'s stat from the third on, counted from the end of the name, which may hold anything. */
function statOf(pid: number): string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return null
  }
}
