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
import type { GatewayKernel } from '../host/kernels/kernel.js'
import { usableRecord } from '../host/kernels/kernel-record.js'
import { Kernels } from '../host/kernels/kernels.js'
import type { Log } from '../log.js'
import { checkpointPolicyOf, checkpointRulesOf } from '../settings/checkpoints.js'
import { kernelLimitsOf, type SettingValues } from '../settings.js'
import type { Instance } from '../store/instances/instance.js'
import { openStores, type Stores } from '../store/store.js'
import { UsageMeter } from '../worker/usage.js'
import { checkpointStore } from './checkpoint-store.js'
import { rootOf } from './confined-kernels.js'
import { isSeenIn } from './sandbox.js'
import { deskIn, storeOverDesk } from './desk.js'
import { bindChannelsIn } from './gateway-connections.js'
import { limitsOf } from './gateway-limits.js'
import type { GatewaySpecs } from './gateway-specs.js'
import { kernelStoreOf } from './kernel-store.js'
import { keepingIn } from './gateway-keeping.js'
import { isFreePort } from './free-port.js'
import { recordingOf } from './recording.js'
import { openObservers, type Observers } from './observers.js'
import { newPythonSide, type PythonSide, type RecoveryRules } from './python-side.js'
import { sessionsFileIn } from './sessions-file.js'

export interface GatewayOptions {
  readonly values: SettingValues
  /** Empty: nobody needs one. */
  readonly token: string
  readonly dataDir: string
  readonly specs: GatewaySpecs
  readonly tls: TlsFiles | null
  readonly version: string
  readonly log: Log
  /** What an earlier gateway has left, and this one would leave. */
  readonly instance: Instance
}

export interface RunningGateway {
  readonly url: string
  reloadTls(): void
  /** Ends everything; kernels have `graceMs` to end in order. */
  stop(graceMs: number): Promise<void>
  /** Ends all of Python at once, and removes what others would look for. */
  stopNow(): Promise<void>
  /** Has no Python survive this process, which is about to end. */
  kill(): void
  /** Takes no more requests, and has clients try again; kernels go on, for the gateway that comes after this one. */
  handOver(): Promise<void>
}

/**
 * Resolves when it accepts connections; kernels of before are taken up while it does. Throws PORT_IN_USE, USAGE; then
 * nothing was begun.
 */
export async function startGateway(given: GatewayOptions): Promise<RunningGateway> {
  const options = { ...given, log: redactingLog(given.log, given.token) }
  const { values, specs, log } = options
  const rules = rulesOf(options)
  const [[defaultSpec] = ['']] = specs
  const observers = await openObservers(values, options)
  const pythonSide = newPythonSide({
    spec: (name) => specs.get(name)?.pool ?? null,
    defaultSpec,
    defaultTenant: LOCAL_SUBJECT,
    size: values['pool.size'],
    // A kernel keeps its worker while it rests.
    affinityMs: 0,
    instance: given.instance,
    recovery: recoveryOf(values),
    release: given.version,
    limits: limitsOf(values, specs),
    onZygoteLost: () => observers.observe({ what: 'zygote_died', cause: 'exit' }),
    log,
  })
  return await join(options, rules, pythonSide, observers)
}

async function join(
  options: GatewayOptions,
  rules: AuthRules,
  pythonSide: PythonSide,
  observers: Observers,
): Promise<RunningGateway> {
  const { values, token, dataDir, specs, log, version, tls, instance } = options
  const { observe, metrics } = observers
  const baseUrl = `/${values['server.base_url']}/`.replace(/\/+/g, '/')
  const keys = openKeyFiles(dataDir, values['auth.jwks'], systemClock, log)
  const requestsPerMinute = values['auth.requests_per_minute']
  const gate = createGate({ token, rules, requestsPerMinute }, keys, systemClock, log)
  const stores = openStores({
    dataDir,
    log,
    clock: systemClock,
    onHistoryLost: (lines) => observe({ what: 'history_lost', lines }),
    ...checkpointRulesOf(values),
  })
  const kernels = newKernels(options, pythonSide, stores, observers)
  const outboxBytesMax = values['output.waiting_bytes_max']
  const connections = new KernelConnections(
    bindChannelsIn({ folder: pythonSide.folder, env: process.env, log, outboxBytesMax }),
  )
  const channels = createChannels({ log, gate, observe, limits: channelsLimitsOf(values) })
  // Of no kernel: it only looks after checkpoints.
  const store = stores.of('gateway', null)
  const importBytesMax = values['checkpoint.import_bytes_max']
  const runs = createRuns({ kernels, clock: systemClock, log, limits: runsLimitsOf(values) })
  kernels.onChange((id, what) => {
    if (what === 'ended') runs.kernelEnded(id)
  })
  // Whoever asks from the first moment on must not be told that they do not exist.
  kernels.recall(instance.kernels.flatMap((record) => usableRecord(record) ?? []))
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
    proxies: rules.proxies,
    webSockets: createWebSocketServer(values['server.message_bytes_max']),
    tls,
    clock: systemClock,
    log,
    observe,
    metrics,
    limits: {
      bodyBytesMax: values['server.body_bytes_max'],
      headersMs: values['server.headers_timeout_s'] * 1_000,
      requestMs: values['server.request_timeout_s'] * 1_000,
      keepAliveMs: values['server.keep_alive_s'] * 1_000,
      connectionsPerAddressMax: values['server.connections_per_address_max'],
    },
    sessionsFile: sessionsFileIn(instance, log),
    more: [runs.addRoutes, stateRoutes(checkpointStore(store.checkpoints, { bytesMax: importBytesMax }))],
  })
  const url = await gateway.listen(values['server.ip'], await portFor(values, instance))
  instance.announce({
    url,
    ip: values['server.ip'],
    port: Number(new URL(url).port || (tls === null ? 80 : 443)),
    release: version,
    started_at: systemClock.date().toISOString(),
    runtime_folder: pythonSide.folder,
  })
  await pythonSide.start().catch(async (error: unknown) => {
    await gateway.close()
    throw error
  })
  const prepare = async (kernel: GatewayKernel): Promise<void> => {
    channels.takeUp(kernel)
    runs.takeUp(kernel)
    try {
      await connections.reopen(kernel)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log('error', 'connection_not_reopened', { kernel: kernel.id, reason })
    }
  }
  void kernels.takeUp(pythonSide.survivors, prepare).then(() => {
    pythonSide.takenUp()
    if (instance.kernels.length > 0) log('info', 'kernels_taken_up', { kernels: kernels.size })
  })
  return {
    url,
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
      await observers.close()
    },
    kill: () => pythonSide.kill(),
    async stopNow() {
      await Promise.all([pythonSide.stop(), connections.closeAll()])
    },
    async handOver() {
      const closed = gateway.close()
      await Promise.all([channels.closeAll(1012, 'The gateway is being replaced.'), closed])
      await observers.close()
      kernels.handOver()
      instance.leave()
    },
  }
}

/** Any free port is the one of before, if that can be had: clients come back to it. */
async function portFor(values: SettingValues, { before }: Instance): Promise<number> {
  const wanted = values['server.port']
  if (wanted !== 0 || before === null) return wanted
  return (await isFreePort(values['server.ip'], before.port)) ? before.port : 0
}

function recoveryOf(values: SettingValues): RecoveryRules {
  return {
    orphanMs: values['recovery.orphan_s'] * 1_000,
    spoolBytesMax: values['recovery.spool_bytes_max'],
    takeUpMs: values['recovery.takeup_s'] * 1_000,
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

function newKernels(
  { values, specs, dataDir, log, instance }: GatewayOptions,
  { newWorkers, checkRoom }: PythonSide,
  stores: Stores,
  { observe, budget }: Observers,
): Kernels {
  return new Kernels({
    newWorkers,
    keeping: keepingIn(instance, values, budget, log, observe),
    newStore: ({ kernelId, tenant, spec }, session) => {
      const store = kernelStoreOf(stores.of(kernelId, tenant, session), kernelId)
      return specs.get(spec)?.pool.sandbox ? storeOverDesk(store, deskIn(dataDir, tenant)) : store
    },
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
    observe,
    pacing: {
      intervalMs: values['output.merge_ms'],
      firstMs: config.streams.firstMs,
      bytesMax: values['output.merge_bytes_max'],
    },
    holdMs: config.holdMs,
    seenAt: instance.seenAt,
    kernelLimits: config.kernels,
    findSpec: (name) => specs.get(name)?.facts ?? null,
    checkRoom,
    kernelsMax: values['kernels.max'],
    kernelsPerOwnerMax: values['kernels.max_per_user'],
    root: resolve(values['kernels.root'] ?? '.'),
    rootOf: (owner) => rootOf(values, owner),
    isSeen: (folder, spec, owner) => {
      const sandbox = specs.get(spec)?.pool.sandbox
      return sandbox === undefined || isSeenIn(sandbox(owner, rootOf(values, owner)), folder)
    },
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
    records: { keep: (record) => instance.keep(record), forget: (id) => instance.forget(id) },
    resting: { waitMs: values['pool.affinity_s'] * 1_000, kernelsMax: config.kernels.restingMax },
  })
}

function channelsLimitsOf(values: SettingValues): ChannelsLimits {
  return {
    pingMs: values['websocket.ping_s'] * 1_000,
    messagesPerS: values['websocket.messages_per_s'],
    waitingBytesMax: values['websocket.waiting_bytes_max'],
    keptMs: values['websocket.kept_s'] * 1_000,
    keptSessionsMax: values['websocket.kept_sessions_max'],
  }
}
