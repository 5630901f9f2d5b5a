/** Puts a gateway together: kernels and their workers, tokens, WebSockets, HTTP. */

import { totalmem } from 'node:os'
import { resolve } from 'node:path'
import { systemClock } from '../clock.js'
import { config } from '../config.js'
import { createGate } from '../gateway/auth/gate.js'
import { openKeyFiles } from '../gateway/auth/key-files.js'
import type { AuthRules } from '../gateway/auth/judge.js'
import { LOCAL_SUBJECT } from '../gateway/auth/principal.js'
import { redactingLog } from '../gateway/auth/redact.js'
import { authRules } from '../gateway/auth/rules.js'
import { createChannels } from '../gateway/channels/channels.js'
import type { ChannelsLimits } from '../gateway/channels/limits.js'
import { createWebSocketServer } from '../gateway/channels/server.js'
import type { ExecutionLimits } from '../gateway/executions/limits.js'
import { createRuns } from '../gateway/executions/runs.js'
import { KernelSpecs } from '../gateway/kernelspecs.js'
import { createGateway, type TlsFiles } from '../gateway/server.js'
import { KernelConnections } from '../host/kernels/connections.js'
import { stateRoutes } from '../gateway/state/state-routes.js'
import { Kernels } from '../host/kernels/kernels.js'
import type { Log } from '../log.js'
import { checkpointRulesOf } from '../settings/checkpoints.js'
import { checkpointPolicyOf, kernelLimitsOf, type SettingValues } from '../settings.js'
import { openStores, type Stores } from '../store/store.js'
import { UsageMeter } from '../worker/usage.js'
import { checkpointStore } from './checkpoint-store.js'
import { bindChannelsIn } from './gateway-connections.js'
import type { GatewaySpecs } from './gateway-specs.js'
import { kernelStoreOf } from './kernel-store.js'
import { recordingOf } from './recording.js'
import { startPythonSide, type PythonSide } from './python-side.js'

export interface GatewayOptions {
  readonly values: SettingValues
  /** Empty: nobody needs one. */
  readonly token: string
  readonly dataDir: string
  readonly specs: GatewaySpecs
  readonly tls: TlsFiles | null
  readonly version: string
  readonly log: Log
}

export interface RunningGateway {
  readonly url: string
  reloadTls(): void
  /** Ends everything; kernels have `graceMs` to end in order. */
  stop(graceMs: number): Promise<void>
  /** Ends all of Python at once. */
  stopPython(): Promise<void>
}

/** Resolves when it accepts connections. Throws PORT_IN_USE, USAGE; then nothing is left of it. */
export async function startGateway(given: GatewayOptions): Promise<RunningGateway> {
  const options = { ...given, log: redactingLog(given.log, given.token) }
  const { values, specs, log } = options
  const rules = rulesOf(options)
  const [[defaultSpec] = ['']] = specs
  const pythonSide = await startPythonSide({
    spec: (name) => specs.get(name)?.pool ?? null,
    defaultSpec,
    defaultTenant: LOCAL_SUBJECT,
    size: values['pool.size'],
    // A kernel keeps its worker while it rests.
    affinityMs: 0,
    log,
  })
  try {
    return await join(options, rules, pythonSide)
  } catch (error) {
    await pythonSide.stop()
    throw error
  }
}

async function join(options: GatewayOptions, rules: AuthRules, pythonSide: PythonSide): Promise<RunningGateway> {
  const { values, token, dataDir, specs, log, version, tls } = options
  const baseUrl = `/${values['server.base_url']}/`.replace(/\/+/g, '/')
  const keys = openKeyFiles(dataDir, values['auth.jwks'], systemClock, log)
  const requestsPerMinute = values['auth.requests_per_minute']
  const gate = createGate({ token, rules, requestsPerMinute }, keys, systemClock, log)
  const stores = openStores({ dataDir, log, clock: systemClock, ...checkpointRulesOf(values) })
  const kernels = newKernels(options, pythonSide, stores)
  const outboxBytesMax = values['output.waiting_bytes_max']
  const connections = new KernelConnections(
    bindChannelsIn({ folder: pythonSide.folder, env: process.env, log, outboxBytesMax }),
  )
  const channels = createChannels({ log, gate, limits: channelsLimitsOf(values) })
  kernels.onChange((id, what) => {
    const kernel = kernels.find(id)
    if (what === 'started' && kernel) channels.watch(kernel)
  })
  // Of no kernel: it only looks after checkpoints.
  const store = stores.of('gateway', null)
  const importBytesMax = values['checkpoint.import_bytes_max']
  const runs = createRuns({ kernels, clock: systemClock, log, limits: runsLimitsOf(values) })
  kernels.onChange((id, what) => {
    if (what === 'ended') runs.kernelEnded(id)
  })
  const gateway = await createGateway({
    baseUrl,
    version,
    kernels,
    specs: new KernelSpecs(
      [...specs.values()].map(({ offered }) => offered),
      baseUrl,
    ),
    channels,
    connections,
    pool: pythonSide.view,
    gate,
    origins: rules,
    webSockets: createWebSocketServer(values['server.message_bytes_max']),
    tls,
    clock: systemClock,
    log,
    limits: {
      bodyBytesMax: values['server.body_bytes_max'],
      headersMs: values['server.headers_timeout_s'] * 1_000,
      requestMs: values['server.request_timeout_s'] * 1_000,
      keepAliveMs: values['server.keep_alive_s'] * 1_000,
      connectionsPerAddressMax: values['server.connections_per_address_max'],
    },
    more: [runs.addRoutes, stateRoutes(checkpointStore(store.checkpoints, { bytesMax: importBytesMax }))],
  })
  return {
    url: await gateway.listen(values['server.ip'], values['server.port']),
    reloadTls: () => gateway.reloadTls(),
    async stop(graceMs) {
      const closed = gateway.close()
      // Not 1001: JupyterLab would not come back.
      const told = channels.closeAll(1012, 'The gateway is shutting down.')
      await Promise.all([runs.close(), kernels.stopAll(graceMs)])
      await connections.closeAll()
      await Promise.all([told, closed])
      await pythonSide.stop()
      await store.close()
      await stores.close()
      gate.close()
    },
    stopPython: () => pythonSide.stop(),
  }
}

function rulesOf({ values, token }: GatewayOptions): AuthRules {
  return authRules({
    ip: values['server.ip'],
    token,
    origins: values['server.allow_origin'],
    hosts: values['server.hosts'],
    proxies: values['server.trusted_proxies'],
    jwks: values['auth.jwks'],
    issuer: values['auth.issuer'],
    audience: values['auth.audience'],
  })
}

function runsLimitsOf(values: SettingValues): Partial<ExecutionLimits> {
  return {
    keptMax: values['executions.kept_max'],
    keptBytesMax: values['executions.kept_bytes_max'],
    outputBytesMax: values['executions.output_bytes_max'],
    executeTimeoutS: values['execute.timeout_s'],
    sessionIdleS: values['execute.idle_s'],
    sessionsMax: values['execute.sessions_max'],
  }
}

function newKernels({ values, specs, log }: GatewayOptions, { newWorkers }: PythonSide, stores: Stores): Kernels {
  return new Kernels({
    newWorkers,
    newStore: ({ kernelId, tenant }) => kernelStoreOf(stores.of(kernelId, tenant), kernelId),
    newUsage: () => new UsageMeter(systemClock),
    clock: systemClock,
    log,
    options: {
      guard: values['guard.enabled'],
      offersSubshells: values['kernel.subshells'],
      records: recordingOf(values),
      checkpoints: checkpointPolicyOf(values),
      limits: kernelLimitsOf(values),
    },
    pacing: {
      intervalMs: values['output.merge_ms'],
      firstMs: config.streams.firstMs,
      bytesMax: values['output.merge_bytes_max'],
    },
    holdMs: config.holdMs,
    kernelLimits: config.kernels,
    findSpec: (name) => specs.get(name)?.facts ?? null,
    kernelsMax: values['kernels.max'],
    kernelsPerOwnerMax: values['kernels.max_per_user'],
    root: resolve(values['kernels.root'] ?? '.'),
    allowedEnvironment: values['kernels.environment'],
    culling: {
      idleTimeoutS: values['kernels.cull_idle_timeout_s'],
      intervalMs: values['kernels.cull_interval_s'] * 1_000,
      connected: values['kernels.cull_connected'],
      busy: values['kernels.cull_busy'],
    },
    snapshots: {
      bytesMax: values['guard.total_bytes_max'] || totalmem() / 4,
      intervalMs: config.kernels.snapshotsWeighedMs,
    },
    resting: { waitMs: values['pool.affinity_s'] * 1_000, kernelsMax: config.kernels.restingMax },
  })
}

function channelsLimitsOf(values: SettingValues): ChannelsLimits {
  return {
    pingMs: values['websocket.ping_s'] * 1_000,
    messagesPerS: values['websocket.messages_per_s'],
    waitingBytesMax: values['websocket.waiting_bytes_max'],
    keptMs: values['websocket.kept_s'] * 1_000,
    keptBytesMax: values['websocket.kept_bytes_max'],
    keptMessagesMax: values['websocket.kept_messages_max'],
    keptSessionsMax: values['websocket.kept_sessions_max'],
    keptTotalBytesMax: values['websocket.kept_total_bytes_max'],
    journalBytesMax: values['websocket.journal_bytes_max'],
    journalMessagesMax: values['websocket.journal_messages_max'],
    journalTotalBytesMax: values['websocket.journal_total_bytes_max'],
  }
}
