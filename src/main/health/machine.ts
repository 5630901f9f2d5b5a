/** The machine: memory, open files, processes, and what limits and sandboxes need of the system. */

import { spawnSync } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fine, megabytes, warning, type Finding } from './finding.js'

const MEMORY_WARNING_BYTES = 536_870_912
/** Descriptors of the gateway: for itself, and for each kernel (link, two pipes, journal, WebSockets). */
const FILES_OWN = 200
const FILES_PER_KERNEL = 12
/** Kernels that a gateway without `kernels.max` should be able to have. */
const KERNELS = 100
/** Processes and threads of one kernel: worker, copies, libraries with threads. */
const PROCESSES_PER_KERNEL = 20

/** Never throws. `kernelsMax`: as set; null: any number. */
export function checkMachine(kernelsMax: number | null): readonly Finding[] {
  const kernels = kernelsMax ?? KERNELS
  return [checkMemory(), checkFiles(kernels), checkProcesses(kernels), checkCgroups(), checkSandbox()]
}

function checkMemory(): Finding {
  const available = memoryAvailable()
  if (available === null) return fine('memory', 'how much is available is not known here')
  const detail = `${megabytes(available)} are available`
  if (available >= MEMORY_WARNING_BYTES) return fine('memory', detail)
  const why = 'When memory runs out the system kills processes: kernels die, the largest first.'
  const remedy =
    'End kernels that nobody needs ("savepoint kernels list"), set limits.memory_bytes, kernels.cull_idle_timeout_s or guard.total_bytes_max.'
  return warning('memory', detail, why, remedy)
}

/** What is left for new processes: of the machine, or of our control group if that has less. */
function memoryAvailable(): number | null {
  const machine = /^MemAvailable:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')?.[1]
  const [max, used] = ['max', 'current'].map((name) => Number(read(`/sys/fs/cgroup/memory.${name}`) ?? NaN))
  const group = Number.isFinite(max) && Number.isFinite(used) ? (max ?? 0) - (used ?? 0) : Infinity
  return machine === undefined ? null : Math.min(Number(machine) * 1_024, group)
}

function checkFiles(kernels: number): Finding {
  const limit = limitOf('Max open files')
  const needed = FILES_OWN + kernels * FILES_PER_KERNEL
  const detail = `${limit === Infinity ? 'any number' : limit} may be open`
  if (limit >= needed) return fine('open files', detail)
  const why = `${kernels} kernels need about ${needed}: beyond it kernels cannot be started, and connections are refused.`
  const remedy = `Raise it before "savepoint serve": ulimit -n ${needed} (in a unit of systemd: LimitNOFILE=${needed}), or set kernels.max.`
  return warning('open files', detail, why, remedy)
}

function checkProcesses(kernels: number): Finding {
  const limit = limitOf('Max processes')
  const needed = kernels * PROCESSES_PER_KERNEL
  const detail = `${limit === Infinity ? 'any number' : limit} of yours may run`
  if (limit >= needed) return fine('processes', detail)
  const why = `${kernels} kernels need up to ${needed}, threads included: beyond it cells fail to start them, and kernels to be copied.`
  return warning(
    'processes',
    detail,
    why,
    `Raise it: ulimit -u ${needed} (in a unit of systemd: TasksMax=${needed}), or set kernels.max.`,
  )
}

/** Soft limit of this process, which is that of a gateway started from here. */
function limitOf(name: string): number {
  const [, soft] = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(read('/proc/self/limits') ?? '') ?? []
  return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft)
}

/** Not a fault: limits are kept without them, by looking once a second. */
function checkCgroups(): Finding {
  const own = /^0::(.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1]
  if (own !== undefined && mayWrite(join('/sys/fs/cgroup', own, 'cgroup.procs'))) {
    return fine('control groups', 'can be made: the system holds the limits of kernels')
  }
  return fine('control groups', 'cannot be made here: limits of memory are looked after once a second instead')
}

/** Only those need it who want it. */
function checkSandbox(): Finding {
  const { error, status } = spawnSync('bwrap', ['--ro-bind', '/', '/', 'true'], { timeout: 5_000, stdio: 'ignore' })
  if (error !== undefined) return fine('bubblewrap', 'not installed; only a sandbox needs it')
  if (status === 0) return fine('bubblewrap', 'works')
  return fine(
    'bubblewrap',
    'is installed and may not be used here: user namespaces are forbidden; only a sandbox needs it',
  )
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}
