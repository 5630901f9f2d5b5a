/**
 * Whose an instance folder is: the process of the newest claim in it, as long as that lives.
 *
 * A claim is a file `claim.N` that appears whole and only if there is none of that number, so of those who find the
 * same dead owner exactly one becomes the next. It is touched while its process lives: one of another machine or
 * another container cannot be asked, but its silence can be seen.
 */

import { randomUUID } from 'node:crypto'
import { linkSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isSameProcess, ownIdentity, ownPlace, type ProcessIdentity } from './process.js'
import { readWhole } from './whole-file.js'

interface Claim extends ProcessIdentity {
  readonly place: string
}

/** How often a claim is touched, and how long one of another place may be silent. */
export const BEAT_MS = 2_000
const SILENCE_MAX_MS = 7_000

export type Liveness = 'alive' | 'dead' | 'unsure'

/** `unsure`: a process of another place, which was heard of lately. */
export function livenessOf(folder: string, now: number): Liveness {
  return livenessOfClaim(folder, newestClaim(folder), now)
}

function livenessOfClaim(folder: string, number: number, now: number): Liveness {
  if (number === 0) return 'dead'
  const path = pathOf(folder, number)
  const claim = readWhole(path) as Partial<Claim> | null
  if (typeof claim?.pid !== 'number') return 'dead'
  const identity = { pid: claim.pid, pid_started: claim.pid_started ?? null }
  if (claim.place === ownPlace()) return isSameProcess(identity) ? 'alive' : 'dead'
  const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return now - touched > SILENCE_MAX_MS ? 'dead' : 'unsure'
}

/** Makes this process the owner, after one that is dead or none. False: somebody else was quicker. */
export function claim(folder: string, now: number): boolean {
  const before = newestClaim(folder)
  // Of that very claim: one that has come since has the number that is tried here.
  if (livenessOfClaim(folder, before, now) !== 'dead') return false
  const own = before + 1
  const draft = join(folder, `.claim.${randomUUID()}`)
  const identity: Claim = { ...ownIdentity(), place: ownPlace() }
  writeFileSync(draft, JSON.stringify(identity), { mode: 0o600 })
  try {
    linkSync(draft, pathOf(folder, own))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
  // Others may have claimed it, and have tidied up, since the newest one was looked for.
  if (newestClaim(folder) !== own) {
    rmSync(pathOf(folder, own), { force: true })
    return false
  }
  for (const number of claimsIn(folder)) if (number < own) rmSync(pathOf(folder, number), { force: true })
  return true
}

/** When its owner was last known to live, in milliseconds since the epoch; 0: never. */
export function seenAt(folder: string): number {
  return statSync(pathOf(folder, newestClaim(folder)), { throwIfNoEntry: false })?.mtimeMs ?? 0
}

/** Says that its owner lives. */
export function touchClaim(folder: string, now: number): void {
  const seconds = now / 1_000
  try {
    utimesSync(pathOf(folder, newestClaim(folder)), seconds, seconds)
  } catch {
    // A folder that somebody removed: there is nothing to own.
  }
}

function pathOf(folder: string, number: number): string {
  return join(folder, `claim.${number}`)
}

/** 0: there is none. */
function newestClaim(folder: string): number {
  return Math.max(0, ...claimsIn(folder))
}

function claimsIn(folder: string): number[] {
  try {
    return readdirSync(folder).flatMap((name) => {
      const number = /^claim\.(\d+)$/.exec(name)?.[1]
      return number === undefined ? [] : [Number(number)]
    })
  } catch {
    return []
  }
}
