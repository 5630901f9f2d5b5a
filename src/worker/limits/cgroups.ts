/**
 * Control groups, where this process may make some: one for each kernel, with the limits that the system then holds.
 *
 * Both versions are known. Of version 1 there is a hierarchy for each controller, and a kernel has a group in each of
 * those. Of version 2 there is one, whose controllers have to be passed on from above; the system wants a group that
 * does so to hold no process itself, so that the gateway moves to a group `gateway` of its own (`Delegate=yes` of
 * systemd). What is not writable is not used: then a watch takes the place of the controller that is missing.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { rmdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { countIn } from './oom.js'

export const CONTROLLERS = ['memory', 'pids', 'cpu'] as const
export type Controller = (typeof CONTROLLERS)[number]

export interface Cgroups {
  readonly version: 1 | 2
  /** The folder below which kernels get theirs, for each controller that may be used. */
  readonly roots: Readonly<Partial<Record<Controller, string>>>
}

/** All our groups lie in groups of this name. */
const OURS = 'savepoint'
const GATEWAY = 'gateway'
const CPU_PERIOD_US = 100_000

/** Where the system says which groups there are; others for tests. */
export interface CgroupSources {
  readonly mountinfo: string
  readonly own: string
}

const PROC: CgroupSources = { mountinfo: '/proc/self/mountinfo', own: '/proc/self/cgroup' }

/** null: none can be made here. Groups that were left behind, and are empty, are removed. */
export function findCgroups(sources: CgroupSources = PROC): Cgroups | null {
  try {
    const mounts = readFileSync(sources.mountinfo, 'utf8').split('\n').map(mountOf)
    const own = readFileSync(sources.own, 'utf8').split('\n')
    return secondVersion(mounts, own) ?? firstVersion(mounts, own)
  } catch {
    return null
  }
}

interface Mount {
  /** What of the hierarchy is seen there. */
  readonly root: string
  readonly at: string
  readonly type: string
  readonly options: readonly string[]
}

/** Fields as in proc(5). */
function mountOf(line: string): Mount {
  const [before = '', after = ''] = line.split(' - ')
  const [, , , root = '', at = ''] = before.split(' ')
  const [type = '', , options = ''] = after.split(' ')
  return { root, at, type, options: options.split(',') }
}

function folderIn({ root, at }: Mount, path: string): string {
  return join(at, root !== '/' && path.startsWith(root) ? path.slice(root.length) : path)
}

function firstVersion(mounts: readonly Mount[], own: readonly string[]): Cgroups | null {
  const roots: Partial<Record<Controller, string>> = {}
  for (const controller of CONTROLLERS) {
    const path = own.map((line) => line.split(':')).find(([, names = '']) => names.split(',').includes(controller))?.[2]
    const mount = mounts.find(({ type, options }) => type === 'cgroup' && options.includes(controller))
    const root = mount && path !== undefined ? ownRoot(folderIn(mount, path)) : null
    if (root !== null) roots[controller] = root
  }
  return Object.keys(roots).length > 0 ? { version: 1, roots } : null
}

function secondVersion(mounts: readonly Mount[], own: readonly string[]): Cgroups | null {
  const path = own.find((line) => line.startsWith('0::'))?.slice(3)
  const mount = mounts.find(({ type }) => type === 'cgroup2')
  if (!mount || path === undefined) return null
  const folder = folderIn(mount, path)
  const above = basename(folder) === GATEWAY ? dirname(folder) : folder
  const offered = readFileSync(join(above, 'cgroup.controllers'), 'utf8').split(/\s+/)
  const wanted = CONTROLLERS.filter((each) => offered.includes(each))
  if (wanted.length === 0) return null
  try {
    if (above === folder) stepAside(folder)
    const root = join(above, OURS)
    const passOn = wanted.map((each) => `+${each}`).join(' ')
    writeFileSync(join(above, 'cgroup.subtree_control'), passOn)
    mkdirSync(root, { recursive: true })
    writeFileSync(join(root, 'cgroup.subtree_control'), passOn)
    sweep(root)
    return { version: 2, roots: Object.fromEntries(wanted.map((each) => [each, root])) }
  } catch {
    // It is not ours to pass on, or somebody else's process is in it.
    return null
  }
}

/** The group is to have groups below it, and may then hold no process. */
function stepAside(folder: string): void {
  const leaf = join(folder, GATEWAY)
  mkdirSync(leaf, { recursive: true })
  writeFileSync(join(leaf, 'cgroup.procs'), String(process.pid))
}

function ownRoot(folder: string): string | null {
  const root = join(folder, OURS)
  try {
    mkdirSync(root, { recursive: true })
    sweep(root)
    return existsSync(join(root, 'cgroup.procs')) ? root : null
  } catch {
    return null
  }
}

/** Removes groups in which nothing runs. The others are those of kernels that live, perhaps another gateway's. */
function sweep(root: string): void {
  for (const { name } of readdirSync(root, { withFileTypes: true }).filter((each) => each.isDirectory())) {
    try {
      rmdirSync(join(root, name))
    } catch {
      // It is in use.
    }
  }
}

/** Removes what `findCgroups` has made, unless somebody uses it. */
export function leaveCgroups({ roots }: Cgroups): void {
  for (const root of new Set(Object.values(roots))) {
    try {
      rmdirSync(root)
    } catch {
      // Kernels of another gateway are in it.
    }
  }
}

/** The groups of one kernel. Whatever is written here may fail with an error of the system. */
export class Group {
  readonly #version: 1 | 2
  readonly #folders: Readonly<Partial<Record<Controller, string>>>

  /** Makes the groups, or takes those that are there. Throws what the system says. */
  constructor({ version, roots }: Cgroups, name: string) {
    this.#version = version
    this.#folders = Object.fromEntries(
      Object.entries(roots).map(([controller, root]) => [controller, join(root, name)]),
    )
    for (const folder of new Set(Object.values(this.#folders))) mkdirSync(folder, { recursive: true })
  }

  holds(controller: Controller): boolean {
    return this.#folders[controller] !== undefined
  }

  /** Takes in a process; what it starts from then on is in it as well. One that has ended is none. */
  async add(pid: number): Promise<void> {
    for (const folder of new Set(Object.values(this.#folders))) {
      await writeFile(join(folder, 'cgroup.procs'), String(pid)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ESRCH') throw error
      })
    }
  }

  /** Of all its processes, swap included. */
  async limitMemory(bytes: number): Promise<void> {
    const [memory, swap] =
      this.#version === 2
        ? (['memory.max', 'memory.swap.max'] as const)
        : (['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'] as const)
    // The one with swap may not be less than the other.
    const swapBytes = this.#version === 2 ? 0 : bytes
    const writeSwap = (): Promise<void> => this.#write('memory', swap, swapBytes).catch(() => {})
    await writeSwap()
    await this.#write('memory', memory, bytes)
    await writeSwap()
  }

  async limitProcesses(most: number): Promise<void> {
    await this.#write('pids', 'pids.max', most)
  }

  /** Percent of one processor. */
  async limitCpu(percent: number): Promise<void> {
    const quota = Math.max(1_000, Math.round((percent / 100) * CPU_PERIOD_US))
    if (this.#version === 2) await this.#write('cpu', 'cpu.max', `${quota} ${CPU_PERIOD_US}`)
    else await this.#write('cpu', 'cpu.cfs_quota_us', quota)
  }

  /** Without what the system would give back for the asking: cached files. null: it is not known. */
  memoryBytes(): number | null {
    const folder = this.#folders.memory
    if (folder === undefined) return null
    try {
      const used = readFileSync(join(folder, this.#version === 2 ? 'memory.current' : 'memory.usage_in_bytes'), 'utf8')
      const stat = readFileSync(join(folder, 'memory.stat'), 'utf8')
      const cached = /^(?:total_)?inactive_file (\d+)$/m.exec(stat)?.[1] ?? 0
      return Math.max(0, Number(used) - Number(cached))
    } catch {
      return null
    }
  }

  /** How many of its processes were ended since it had no memory left. */
  kills(): number {
    const folder = this.#folders.memory
    return folder === undefined
      ? 0
      : countIn(join(folder, this.#version === 2 ? 'memory.events' : 'memory.oom_control'))
  }

  /** False: something still runs in it. */
  async remove(): Promise<boolean> {
    const folders = [...new Set(Object.values(this.#folders))]
    const removed = await Promise.all(folders.map((folder) => rmdir(folder).then(() => true, isGone)))
    return removed.every(Boolean)
  }

  async #write(controller: Controller, file: string, value: number | string): Promise<void> {
    const folder = this.#folders[controller]
    if (folder !== undefined) await writeFile(join(folder, file), String(value))
  }
}

function isGone(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ENOENT'
}
