/**
 * What a kernel uses of its machine: the answer to `usage_request`, with the fields that ipykernel has, from /proc.
 *
 * Measured is the worker with all its descendants: what the user's code causes. Node is no part of it. Memory is
 * counted in proportional shares (PSS), as ipykernel does: a page that three processes share is counted once, not three
 * times. What a worker shares with frozen snapshots of itself counts as its own, so that its memory does not seem to
 * halve when a snapshot is taken; what snapshots alone hold is told apart, as `savepoint.snapshot_bytes`.
 *
 * Processor times are those since the question before, which is why a meter remembers them.
 */

import { readdir, readFile } from 'node:fs/promises'
import { cpus, hostname } from 'node:os'
import type { Clock } from '../clock.js'

export interface Usage {
  readonly hostname: string
  readonly pid: number | null
  /** Percent of one processor since the question before; 0 the first time. */
  readonly kernel_cpu: number
  readonly kernel_memory: number
  readonly cpu_count: number
  /** Absent the first time, when there is nothing to compare with. */
  readonly host_cpu_percent?: number
  readonly host_virtual_memory: Readonly<Record<string, number>>
  readonly savepoint: { readonly snapshots: number; readonly snapshot_bytes: number }
}

interface Moment {
  readonly at: number
  readonly ticks: ReadonlyMap<number, number>
  readonly host: HostTimes | null
}

/** Clock ticks of Linux in a second, as /proc shows them on every machine. */
const TICKS_PER_S = 100

export class UsageMeter {
  readonly #clock: Clock
  #before: Moment | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  weigh(pids: readonly number[]): Promise<(number | null)[]> {
    return weigh(pids)
  }

  /** `worker` null: there is none at the moment. Processes that end meanwhile count for nothing. Never rejects. */
  async measure(worker: number | null, frozen: readonly number[]): Promise<Usage> {
    const pids = worker === null ? [] : await descendants(worker, new Set(frozen))
    const [memory, shared, ticks, host, meminfo] = await Promise.all([
      Promise.all(pids.map(memoryOf)),
      Promise.all(frozen.map(memoryOf)),
      Promise.all(pids.map(ticksOf)),
      textOf('/proc/stat').then((text) => parseHostTimes(text)),
      textOf('/proc/meminfo').then((text) => virtualMemory(text)),
    ])
    const now: Moment = {
      at: this.#clock.now(),
      ticks: new Map(pids.map((pid, i) => [pid, ticks[i] ?? 0])),
      host,
    }
    const hostPercent = busyPercent(this.#before?.host ?? null, host)
    const usage: Usage = {
      hostname: hostname(),
      pid: worker,
      kernel_cpu: cpuPercent(this.#before, now),
      kernel_memory: sum(memory.map(({ pss }) => pss)) + sum(shared.map(({ pss, own }) => pss - own)),
      cpu_count: cpus().length,
      ...(hostPercent === null ? {} : { host_cpu_percent: hostPercent }),
      host_virtual_memory: meminfo,
      savepoint: { snapshots: frozen.length, snapshot_bytes: sum(shared.map(({ own }) => own)) },
    }
    this.#before = now
    return usage
  }
}

/** Bytes that each of these processes alone holds; null for one that is gone. One at a time: it takes processor time. */
export async function weigh(pids: readonly number[]): Promise<(number | null)[]> {
  const found: (number | null)[] = []
  for (const pid of pids) {
    const { Private_Clean, Private_Dirty } = kilobytes(await textOf(`/proc/${pid}/smaps_rollup`))
    found.push(Private_Dirty === undefined ? null : Private_Dirty + (Private_Clean ?? 0))
  }
  return found
}

/** A process that came since the last question has used all of its time since then. */
function cpuPercent(before: Moment | null, now: Moment): number {
  const seconds = before === null ? 0 : (now.at - before.at) / 1000
  if (before === null || seconds <= 0) return 0
  const used = sum([...now.ticks].map(([pid, ticks]) => Math.max(0, ticks - (before.ticks.get(pid) ?? 0))))
  return round(((used / TICKS_PER_S) * 100) / seconds)
}

/** The process and all below it, without those of `except` and what is below them. */
async function descendants(root: number, except: ReadonlySet<number>): Promise<number[]> {
  const found = [root]
  for (let i = 0; i < found.length && i < PROCESSES_MAX; i += 1) {
    const children = await childrenOf(found[i] ?? 0)
    found.push(...children.filter((pid) => !except.has(pid) && !found.includes(pid)))
  }
  return found
}
const PROCESSES_MAX = 1_000

/** Children belong to the thread that forked them. */
async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const texts = await Promise.all(threads.map((thread) => textOf(`/proc/${pid}/task/${thread}/children`)))
  return texts.flatMap((text) => text.split(' ').filter(Boolean).map(Number))
}

interface Memory {
  /** The proportional share of everything, in bytes. */
  readonly pss: number
  /** What no other process has. */
  readonly own: number
}

/** Where the shares may not be read, what is resident takes their place. */
async function memoryOf(pid: number): Promise<Memory> {
  const rollup = await textOf(`/proc/${pid}/smaps_rollup`)
  if (rollup !== '') {
    const { Pss = 0, Private_Clean = 0, Private_Dirty = 0 } = kilobytes(rollup)
    return { pss: Pss, own: Private_Clean + Private_Dirty }
  }
  const { VmRSS = 0, RssAnon = 0 } = kilobytes(await textOf(`/proc/${pid}/status`))
  return { pss: VmRSS, own: RssAnon }
}

/** User and system time of a process, in clock ticks. Its name may hold spaces and brackets. */
async function ticksOf(pid: number): Promise<number> {
  const text = await textOf(`/proc/${pid}/stat`)
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
}

interface HostTimes {
  readonly busy: number
  readonly all: number
}

/** The first line of /proc/stat. Time of guests is part of the user's, and waiting for disks is not work. */
export function parseHostTimes(stat: string): HostTimes | null {
  const [name, ...numbers] = (stat.split('\n')[0] ?? '').trim().split(/\s+/)
  if (name !== 'cpu' || numbers.length < 5) return null
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = numbers.map(Number)
  const all = user + nice + system + idle + iowait + irq + softirq + steal
  return { busy: all - idle - iowait, all }
}

function busyPercent(before: HostTimes | null, now: HostTimes | null): number | null {
  if (before === null || now === null || now.all <= before.all) return null
  return round((100 * Math.max(0, now.busy - before.busy)) / (now.all - before.all))
}

/** What psutil calls virtual memory, in bytes. */
export function virtualMemory(meminfo: string): Readonly<Record<string, number>> {
  const fields = kilobytes(meminfo)
  const of = (name: string): number => fields[name] ?? 0
  const total = of('MemTotal')
  const cached = of('Cached') + of('SReclaimable')
  const available = Math.min(total, fields['MemAvailable'] ?? of('MemFree') + of('Buffers') + cached)
  return {
    total,
    available,
    percent: total === 0 ? 0 : round((100 * (total - available)) / total),
    used: total - available,
    free: of('MemFree'),
    active: of('Active'),
    inactive: of('Inactive'),
    buffers: of('Buffers'),
    cached,
    shared: of('Shmem'),
    slab: of('Slab'),
  }
}

/** Lines such as `Pss:  123 kB`, in bytes. */
function kilobytes(text: string): Readonly<Record<string, number>> {
  const lines = [...text.matchAll(/^(\w+):\s+(\d+) kB$/gm)]
  return Object.fromEntries(lines.map(([, name = '', number]) => [name, Number(number) * 1024]))
}

async function textOf(path: string): Promise<string> {
  return await readFile(path, 'latin1').catch(() => '')
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}

function round(percent: number): number {
  return Math.round(percent * 10) / 10
}
