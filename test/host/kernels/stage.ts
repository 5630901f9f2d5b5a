/** Kernels of a gateway with real workers. */

import { unobserved } from '../../../src/observe.js'
import { randomBytes } from 'node:crypto'
import { NO_POLICY } from '../../../src/kernel/auto-checkpoints.js'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../src/clock.js'
import { config } from '../../../src/config.js'
import { KernelConnections } from '../../../src/host/kernels/connections.js'
import { Kernels, type KernelsOptions } from '../../../src/host/kernels/kernels.js'
import { lineLog } from '../../../src/log.js'
import { bindChannelsIn } from '../../../src/main/gateway-connections.js'
import { kernelStore } from '../../../src/main/kernel-store.js'
import { newPythonSide } from '../../../src/main/python-side.js'
import { zygoteEnvironment } from '../../../src/main/zygote-environment.js'
import { UsageMeter } from '../../../src/worker/usage.js'

export interface Stage {
  readonly kernels: Kernels
  readonly connections: KernelConnections
  readonly folder: string
  readonly logged: string[]
  close(): Promise<void>
}

export async function openStage(options: Partial<KernelsOptions> = {}): Promise<Stage> {
  const python = process.env['SAVEPOINT_TEST_PYTHON']
  if (!python) throw new Error('SAVEPOINT_TEST_PYTHON names no interpreter: run the tests with `npm test`.')
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'savepoint-kernels-')))
  const logged: string[] = []
  const log = lineLog('debug', (line) => void logged.push(line))
  const env = { ...process.env, IPYTHONDIR: join(folder, 'ipython'), JUPYTER_RUNTIME_DIR: join(folder, 'runtime') }
  const pythonSide = newPythonSide({
    spec: () => ({ python, stack: null, preload: [], environment: zygoteEnvironment(env) }),
    defaultSpec: 'python3',
    defaultTenant: 'ann',
    size: 0,
    affinityMs: 0,
    instance: {
      inherited: [],
      id: randomBytes(4).toString('hex'),
      file: (name) => join(folder, name),
    },
    recovery: { orphanMs: 0, spoolBytesMax: 0, takeUpMs: 1_000 },
    release: '0.0.0',
    log,
  })
  await pythonSide.start()
  const kernels = new Kernels({
    newWorkers: pythonSide.newWorkers,
    newStore: ({ kernelId, tenant }) => kernelStore(join(folder, 'data'), kernelId, log, tenant),
    newUsage: () => new UsageMeter(systemClock),
    clock: systemClock,
    log,
    options: { guard: false, offersSubshells: false, records: null, checkpoints: NO_POLICY, limits: config.kernel },
    observe: unobserved,
    pacing: config.streams,
    holdMs: config.holdMs,
    kernelLimits: { ...config.kernels, holdMaxMs: 200 },
    findSpec: (name) => (name === 'python3' ? { name, cullIdleTimeoutS: null } : null),
    kernelsMax: null,
    kernelsPerOwnerMax: null,
    root: folder,
    allowedEnvironment: [],
    culling: { idleTimeoutS: 0, connected: false, busy: false, intervalMs: 60_000 },
    snapshots: { bytesMax: 1_000_000_000, intervalMs: 10_000 },
    resting: { waitMs: 0, kernelsMax: 0 },
    records: null,
    ...options,
  })
  const sockets = { folder: join(folder, 's'), env, log, outboxBytesMax: 1_048_576, holdMaxMs: 200 }
  const connections = new KernelConnections(bindChannelsIn(sockets))
  return {
    kernels,
    connections,
    folder,
    logged,
    async close() {
      await kernels.stopAll()
      await connections.closeAll()
      await pythonSide.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
