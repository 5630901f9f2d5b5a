/** The pool that a gateway's kernels get their workers from, in a folder of its own. */

import { basename, dirname, join } from 'node:path'
import { systemClock } from '../clock.js'
import { config, jupyterRuntimeDir, places } from '../config.js'
import type { PoolView } from '../gateway/ports.js'
import type { NewWorkers } from '../host/kernels/ports.js'
import type { Log } from '../log.js'
import { poolLimits } from '../pool/limits.js'
import type { PoolOptions, PoolSpec } from '../pool/options.js'
import { createPool } from '../pool/pool.js'
import { openZygoteRecords } from '../pool/zygote-records.js'
import type { Instance } from '../store/instances/instance.js'
import { OomWatch } from '../worker/limits/oom.js'
import { killFamily, runs } from '../worker/pids.js'
import { wardenOf, type LimitOptions } from './kernel-limits.js'
import { keepRuntimeDir, runtimeRoot, sweep, type RuntimeDir } from '../worker/runtime-dir.js'

export interface PythonSide {
  /** Processes of an earlier gateway may still live. */
  readonly survivors: boolean
  /** Opens the door to workers, and begins to make some ready. */
  start(): Promise<void>
  /** Each kernel of an earlier gateway has claimed what it had there; what is left ends. */
  takenUp(): void
  readonly newWorkers: NewWorkers
  readonly view: PoolView
  /** Throws `quota_exceeded` if a user's kernels have no memory left for another one. */
  readonly checkRoom: (tenant: string) => void
  /** For sockets and pipes, private (0700). */
  readonly folder: string
  /** Ends every process by force, at once: it does not survive this one. */
  kill(): void
  /** Ends every process, and removes the folder. */
  stop(): Promise<void>
}

export interface PythonSideOptions extends Pick<
  PoolOptions,
  'defaultSpec' | 'defaultTenant' | 'size' | 'affinityMs' | 'onZygoteLost'
> {
  /** null: there is no kernelspec of that name. */
  readonly spec: (name: string) => PoolSpec | null
  /** What kernels may use; absent: as much as they like. */
  readonly limits?: LimitOptions
  readonly log: Log
  /** Sockets and pipes are where those of its earlier owner were. */
  readonly instance: Pick<Instance, 'id' | 'file' | 'inherited'>
  readonly recovery: RecoveryRules
  readonly release: string
}

/** How long what is left of a gateway waits for the next one, and how long that waits for it. */
export interface RecoveryRules {
  readonly orphanMs: number
  readonly spoolBytesMax: number
  readonly takeUpMs: number
}

/** Nothing runs before it is started. */
export function newPythonSide(options: PythonSideOptions): PythonSide {
  const root = runtimeRoot()
  sweep(root, systemClock.date())
  const { instance, recovery, log } = options
  const dir = keepRuntimeDir(root, `g${instance.id}`)
  // Kernels that another gateway had have their sockets and pipes there.
  const inherited = instance.inherited.filter((path) => path !== dir.path).flatMap((path) => keepInherited(path, log))
  const removeFolders = (): void => [dir, ...inherited].forEach((each) => each.remove())
  const records = openZygoteRecords(instance.file('zygotes'), log)
  const runtime = jupyterRuntimeDir(process.env)
  const oom = new OomWatch(systemClock)
  const warden = wardenOf(options.limits, oom, options.log)
  const pool = createPool({
    ...options,
    ...recovery,
    records,
    warden,
    folder: dir.path,
    connectionFile: (kernelId) => join(runtime, `kernel-${kernelId}.json`),
    starter: places.starter,
    clock: systemClock,
    limits: poolLimits,
    workerLimits: config.workers,
  })
  return {
    survivors: records.all().some(runs),
    async start() {
      await pool.start()
    },
    takenUp: () => pool.takenUp(),
    newWorkers: (needs, deliver, copiesAt) => pool.newWorkers(needs, deliver, copiesAt),
    folder: dir.path,
    checkRoom: (tenant) => warden.checkRoom(tenant),
    view: {
      isReady: () => pool.isReady(),
      facts: () => pool.status(),
      counts: () => pool.status().states,
    },
    kill() {
      for (const zygote of records.all()) killFamily(zygote)
      removeFolders()
    },
    async stop() {
      await pool.stop()
      await warden.stop()
      oom.stop()
      removeFolders()
    },
  }
}

/** Empty: it cannot be made, and what was there does not come back. */
function keepInherited(path: string, log: Log): readonly RuntimeDir[] {
  try {
    return [keepRuntimeDir(dirname(path), basename(path))]
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    log('warn', 'folder_not_inherited', { path, reason })
    return []
  }
}
