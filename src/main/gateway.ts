/** Puts a gateway together: kernels and their workers, tokens, WebSockets, HTTP. */

import { systemClock } from '../clock.js'
import { config } from '../config.js'
import { createGate } from '../gateway/auth/gate.js'
import { openKeyFiles } from '../gateway/auth/key-files.js'
import { LOCAL_SUBJECT } from '../gateway/auth/principal.js'
import { authRules } from '../gateway/auth/rules.js'
import { createChannels } from '../gateway/channels/channels.js'
import { createWebSocketServer } from '../gateway/channels/server.js'
import { createRuns } from '../gateway/executions/runs.js'
import { KernelSpecs } from '../gateway/kernelspecs.js'
import { createGateway, type TlsFiles } from '../gateway/server.js'
import { KernelConnections } from '../host/kernels/connections.js'
import { Kernels } from '../host/kernels/kernels.js'
import type { Log } from '../log.js'
import type { WorkerPython } from '../provision/known.js'
import { UsageMeter } from '../worker/usage.js'
import { bindChannelsIn } from './gateway-connections.js'
import { BUILT_IN_NAMES, builtInSpecs } from './gateway-specs.js'
import { kernelStore } from './kernel-store.js'
import { startPythonSide } from './python-side.js'
import { zygoteEnvironment } from './zygote-environment.js'

export interface GatewayOptions {
  readonly ip: string
  readonly port: number
  /** Begins and ends with a slash. */
  readonly baseUrl: string
  /** Empty: nobody needs one. */
  readonly token: string
  readonly allowOrigins: readonly string[]
  readonly kernelsMax: number | null
  readonly tls: TlsFiles | null
  readonly dataDir: string
  readonly python: WorkerPython
  readonly version: string
  readonly log: Log
}

export interface RunningGateway {
  readonly url: string
  reloadTls(): void
  /** Ends everything; kernels have `graceMs` to end in order. */
  stop(graceMs: number): Promise<void>
}

/** Resolves when it accepts connections. Throws PORT_IN_USE, USAGE. */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const { log, dataDir, python, baseUrl, token } = options
  const rules = authRules({
    ip: options.ip,
    token,
    origins: options.allowOrigins,
    hosts: [],
    proxies: [],
    jwks: null,
    issuer: null,
    audience: null,
  })
  const keys = openKeyFiles(dataDir, null, systemClock, log)
  const gate = createGate({ token, rules, requestsPerMinute: null }, keys, systemClock, log)
  const pythonSide = await startPythonSide({
    spec: (name) =>
      name === 'python3' ? { ...python, preload: [], environment: zygoteEnvironment(process.env) } : null,
    defaultSpec: 'python3',
    defaultTenant: LOCAL_SUBJECT,
    size: 1,
    affinityMs: 300_000,
    log,
  })
  const kernels = new Kernels({
    newWorkers: pythonSide.newWorkers,
    newStore: (kernelId) => kernelStore(dataDir, kernelId, log),
    newUsage: () => new UsageMeter(systemClock),
    clock: systemClock,
    log,
    options: { offersSubshells: false, limits: config.kernel },
    pacing: config.streams,
    holdMs: config.holdMs,
    kernelLimits: config.kernels,
    findSpec: (name) => (BUILT_IN_NAMES.includes(name) ? { name: 'python3', cullIdleTimeoutS: null } : null),
    kernelsMax: options.kernelsMax,
    root: process.cwd(),
    allowedEnvironment: [],
    culling: { idleTimeoutS: 0, connected: false, busy: false, intervalMs: 300_000 },
  })
  const connections = new KernelConnections(
    bindChannelsIn({ folder: pythonSide.folder, env: process.env, log, outboxBytesMax: config.outboxBytesMax }),
  )
  const channels = createChannels({ log, gate })
  const runs = createRuns({ kernels, clock: systemClock, log })
  const gateway = await createGateway({
    baseUrl,
    version: options.version,
    kernels,
    specs: new KernelSpecs(builtInSpecs(), baseUrl),
    channels,
    connections,
    pool: pythonSide.view,
    gate,
    origins: rules,
    webSockets: createWebSocketServer(134_217_728),
    tls: options.tls,
    clock: systemClock,
    log,
    limits: {
      bodyBytesMax: 16_777_216,
      headersMs: 20_000,
      requestMs: 120_000,
      keepAliveMs: 75_000,
      connectionsPerAddressMax: 0,
    },
    more: [runs.addRoutes],
  })
  return {
    url: await gateway.listen(options.ip, options.port),
    reloadTls: () => gateway.reloadTls(),
    async stop(graceMs) {
      const closed = gateway.close()
      // Not 1001: JupyterLab would not come back.
      await channels.closeAll(1012, 'The gateway is shutting down.')
      await runs.close()
      await kernels.stopAll(graceMs)
      await connections.closeAll()
      await closed
      await pythonSide.stop()
      gate.close()
    },
  }
}
