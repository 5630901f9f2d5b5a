/** All processes of the machine at one moment, as /proc shows them, and those of them that belong to a kernel. */

import { readdir, readFile } from 'node:fs/promises'
import type { Faults } from './culprit.js'

export interface Resident {
  readonly pid: number
  readonly parent: number
  /** The process that began its session: a worker, unless user code began another one. */
  readonly session: number
  readonly threads: number
  readonly residentBytes: number
  /** Page faults since it began. */
  readonly faults: number
}

export type Census = ReadonlyMap<number, Resident>

const PAGE_BYTES = 4_096
/** So many files are read at a time. */
const AT_ONCE = 64

/** What processes use, and how many page faults each of them had by then. */
export interface Measured {
  readonly bytes: number
  readonly faults: ReadonlyMap<number, Faults>
}

export async function takeCensus(): Promise<Census> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = new Map<number, Resident>()
  for (let i = 0; i < pids.length; i += AT_ONCE) {
    const some = await Promise.all(
      pids.slice(i, i + AT_ONCE).map((pid) => readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')),
    )
    for (const each of some.flatMap((text) => parseStat(text) ?? [])) found.set(each.pid, each)
  }
  return found
}

/** A line of `/proc/PID/stat`; a name may hold spaces and brackets. null: there is no such process. */
export function parseStat(text: string): Resident | null {
  const end = text.lastIndexOf(')')
  if (end < 0) return null
  const [state, parent, , session, ...rest] = text.slice(end + 2).split(' ')
  if (state === 'Z' || state === 'X') return null
  return {
    pid: Number.parseInt(text, 10),
    parent: Number(parent),
    session: Number(session),
    threads: Number(rest[13]),
    residentBytes: Number(rest[17]) * PAGE_BYTES,
    faults: Number(rest[3]) + Number(rest[5]),
  }
}

/** What runs below these workers or in their sessions, they included. */
export function familyOf(census: Census, workers: ReadonlySet<number>): Resident[] {
  const family = new Set<number>()
  const belongs = (each: Resident): boolean => workers.has(each.pid) || workers.has(each.session)
  for (const each of census.values()) if (belongs(each)) family.add(each.pid)
  for (let grew = true; grew;) {
    grew = false
    for (const each of census.values()) {
      if (family.has(each.pid) || !family.has(each.parent)) continue
      family.add(each.pid)
      grew = true
    }
  }
  return [...family].flatMap((pid) => census.get(pid) ?? [])
}

/** Processes outside of the family that have started some of it: zygotes, unless they have ended. */
export function zygotesOf(census: Census, family: readonly Resident[]): Resident[] {
  const pids = new Set(family.map(({ pid }) => pid))
  const outside = new Set(family.map(({ parent }) => parent).filter((parent) => parent > 1 && !pids.has(parent)))
  return [...outside].flatMap((pid) => census.get(pid) ?? [])
}

/**
 * The memory of these processes, where what several share is counted once, and what they share with `zygotes` not at
 * all: each has as much of that as its zygote has. That is what control groups count, too.
 *
 * They are measured one after the other. Memory that goes from one to another meanwhile, such as what a worker frees and
 * its copy keeps, counts twice then; so what is beyond `most` is measured again, and of each process the lesser counts.
 */
export async function measure(
  family: readonly Resident[],
  zygotes: readonly Resident[],
  most: number,
  look: (pid: number) => Promise<Proportions> = proportionsOf,
): Promise<Measured> {
  const faults = new Map<number, Faults>()
  const used = new Map<number, number>()
  const common = Math.max(0, ...(await Promise.all(zygotes.map(({ pid }) => look(pid)))).map(sharedBytes))
  const own = async (pid: number): Promise<number> => {
    const found = await look(pid)
    return found.bytes - Math.min(common, sharedBytes(found))
  }
  for (const { pid, faults: before } of family) {
    used.set(pid, await own(pid))
    const now = parseStat(await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => ''))
    if (now !== null) faults.set(pid, { before, after: now.faults })
  }
  if (sumOf(used) > most) for (const [pid, bytes] of used) used.set(pid, Math.min(bytes, await own(pid)))
  return { bytes: sumOf(used), faults }
}

/** Of a process: its proportional share of memory (PSS), and what nobody else has of that. */
export interface Proportions {
  readonly bytes: number
  readonly privateBytes: number
}

/** Zeros: there is no such process any more, or it is not ours to look at. */
async function proportionsOf(pid: number): Promise<Proportions> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '')
  const of = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1_024
  return { bytes: of('Pss'), privateBytes: of('Private_Clean') + of('Private_Dirty') }
}

function sharedBytes({ bytes, privateBytes }: Proportions): number {
  return bytes - privateBytes
}

function sumOf(bytes: ReadonlyMap<number, number>): number {
  return [...bytes.values()].reduce((sum, each) => sum + each, 0)
}
