/** The pool that a gateway's kernels get their workers from, in a folder of its own. */

import { join } from 'node:path'
import { systemClock } from '../clock.js'
import { config, jupyterRuntimeDir, places } from '../config.js'
import type { PoolView } from '../gateway/ports.js'
import type { NewWorkers } from '../host/kernels/ports.js'
import type { Log } from '../log.js'
import { poolLimits } from '../pool/limits.js'
import type { PoolOptions, PoolSpec } from '../pool/options.js'
import { createPool } from '../pool/pool.js'
import { makeRuntimeDir, runtimeRoot, sweep } from '../worker/runtime-dir.js'

export interface PythonSide {
  readonly newWorkers: NewWorkers
  readonly view: PoolView
  /** Private to this process. */
  readonly folder: string
  /** Ends every process, and removes the folder. */
  stop(): Promise<void>
}

export interface PythonSideOptions extends Pick<PoolOptions, 'defaultSpec' | 'defaultTenant' | 'size' | 'affinityMs'> {
  /** null: there is no kernelspec of that name. */
  readonly spec: (name: string) => PoolSpec | null
  readonly log: Log
}

/** Begins to make workers ready. */
export async function startPythonSide(options: PythonSideOptions): Promise<PythonSide> {
  const root = runtimeRoot()
  sweep(root, systemClock.date())
  const dir = makeRuntimeDir(root)
  const runtime = jupyterRuntimeDir(process.env)
  const pool = createPool({
    ...options,
    folder: dir.path,
    connectionFile: (kernelId) => join(runtime, `kernel-${kernelId}.json`),
    starter: places.starter,
    clock: systemClock,
    limits: poolLimits,
    workerLimits: config.workers,
  })
  try {
    await pool.start()
  } catch (error) {
    dir.remove()
    throw error
  }
  return {
    newWorkers: (needs, deliver, copiesAt) => pool.newWorkers(needs, deliver, copiesAt),
    folder: dir.path,
    view: {
      isReady: () => pool.isReady(),
      facts: () => pool.status(),
      counts: () => pool.status().states,
    },
    async stop() {
      await pool.stop()
      dir.remove()
    },
  }
}
