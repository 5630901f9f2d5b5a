/** Workers for a gateway's kernels, each kernel with a zygote of its own. */

import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../clock.js'
import { config, places, type Environment } from '../config.js'
import { makeFolder } from '../folders.js'
import type { KernelWorkers, NewWorkers } from '../host/kernels/ports.js'
import type { Log } from '../log.js'
import type { WorkerPython } from '../provision/known.js'
import { OwnZygote } from '../worker/own-zygote.js'
import { makeRuntimeDir, runtimeRoot, sweep } from '../worker/runtime-dir.js'
import { Workers } from '../worker/workers.js'
import { listenerTo } from '../worker/events.js'
import { zygoteEnvironment } from './zygote-environment.js'

export interface OwnWorkers {
  readonly newWorkers: NewWorkers
  /** After all of them have ended. */
  close(): void
}

export function ownWorkers(python: WorkerPython, env: Environment, log: Log): OwnWorkers {
  const root = runtimeRoot()
  sweep(root, systemClock.date())
  const folder = join(root, `k${process.pid}`)
  rmSync(folder, { recursive: true, force: true })
  makeFolder(folder, 0o700)
  let made = 0
  const newWorkers: NewWorkers = (needs, deliver) => {
    const dir = makeRuntimeDir(folder, String((made += 1)))
    const backing = new OwnZygote({
      kernel: 'k',
      dir,
      python: python.python,
      starter: places.starter,
      stack: python.stack,
      kernelArguments: [],
      environment: zygoteEnvironment(env),
      rendezvous: null,
      lingerS: 0,
      token: randomBytes(16).toString('hex'),
      early: null,
      clock: systemClock,
      log,
      limits: config.workers,
    })
    const workers = new Workers(
      {
        cwd: needs.cwd,
        workerEnvironment: needs.environment,
        clock: systemClock,
        log,
        limits: config.workers,
      },
      backing,
      listenerTo(deliver),
    )
    return withFolder(workers, dir.remove)
  }
  return { newWorkers, close: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Its folder goes with it: every incarnation of a kernel has another one. */
function withFolder(workers: Workers, remove: () => void): KernelWorkers {
  const abandon = workers.abandon.bind(workers)
  workers.abandon = () => {
    abandon()
    remove()
  }
  return workers
}
