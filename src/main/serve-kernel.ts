/** Puts one kernel together behind ZeroMQ, and lets it run to its end. */

import { randomBytes } from 'node:crypto'
import { v4 as uuid } from 'uuid'
import { systemClock } from '../clock.js'
import { config } from '../config.js'
import { Host } from '../host/host.js'
import type { KernelEvent } from '../kernel/effects.js'
import type { Log } from '../log.js'
import { checkpointPolicyOf, checkpointRulesOf } from '../settings/checkpoints.js'
import { kernelLimitsOf } from '../settings.js'
import { bindChannels, type Channels } from '../sockets/channels.js'
import type { ConnectionFile } from '../sockets/connection-file.js'
import { SignatureGuard, createSigner, type Signer } from '../wire/signature.js'
import { UsageMeter } from '../worker/usage.js'
import type { Workers } from '../worker/workers.js'
import type { KernelCommand } from './kernel.js'
import { relief } from './relief.js'
import { recordingOf } from './recording.js'
import { kernelIdOf, kernelStore, lastingKernelIdOf, type KernelStore } from './kernel-store.js'
import { LOCAL_OWNER } from '../store/owner.js'

export interface KernelParts {
  readonly command: KernelCommand
  readonly file: ConnectionFile
  readonly log: Log
  readonly workers: Workers
  /** The Python side, on its way. */
  readonly started: Promise<void>
  /** What a lazy kernel answers to kernel_info until its Python is up, or null. */
  readonly kernelInfo: Buffer | null
  readonly inbox: { deliver: (event: KernelEvent) => void }
  /** Events that came before there was a kernel. */
  readonly early: readonly KernelEvent[]
}

/** Runs until the kernel has ended; its exit code. */
export async function serveKernel(parts: KernelParts): Promise<number> {
  const { command, file, log, workers, inbox } = parts
  const memory = relief()
  const session = uuid()
  const signer = createSigner(file.connection.signatureScheme, file.connection.key)
  const channels = await bindChannels(file.connection, {
    log,
    session,
    signer,
    guard: new SignatureGuard(signer),
    onRequest: (channel, routing, message) => {
      memory.passed(message.buffers)
      memory.passed([message.contentBytes])
      // An interrupt of an idle kernel must not hit the cell that is sent next. A signal that came before the message is
      // dispatched in this turn of the event loop, or in the next if the message had come when we were woken.
      setImmediate(() => {
        setImmediate(() => inbox.deliver({ on: 'message', channel, client: { routing }, message }))
      })
    },
    onFull: () => workers.pause(),
    onDrained: () => workers.resume(),
    outboxBytesMax: command.values['output.waiting_bytes_max'],
  })
  try {
    await announce(file, channels, session)
  } catch (error) {
    // Nobody will come, and open sockets would keep the process.
    await channels.close(0)
    await file.dispose()
    throw error
  }
  const kernelId = command.restoreLast ? lastingKernelIdOf(file.path) : kernelIdOf(file.path, session)
  const store = kernelStore(command.settings.dataDir, kernelId, log, LOCAL_OWNER, checkpointRulesOf(command.values))
  try {
    const code = await lifeOf(parts, channels, session, signer, store)
    await channels.close(config.flushMs)
    return code
  } finally {
    memory.stop()
    await store.close()
    await file.dispose()
  }
}

/** Says where the kernel is: in its connection file, and to the launcher that wants to be told. */
async function announce(file: ConnectionFile, channels: Channels, session: string): Promise<void> {
  await file.writePorts(channels.ports)
  if (!file.registration) return
  const { register } = await import('../sockets/registration.js')
  await register(file.registration, channels.ports, { session, clock: systemClock, withinMs: config.registrationMs })
}

async function lifeOf(
  { command, log, workers, started, inbox, early, kernelInfo }: KernelParts,
  channels: Channels,
  session: string,
  signer: Signer,
  store: KernelStore,
): Promise<number> {
  return await new Promise((resolve, reject) => {
    const host = new Host({
      options: {
        session,
        seed: randomBytes(32).toString('hex'),
        ports: portsForConnectReply(channels),
        recover: command.recover,
        guard: command.guard,
        linger: true,
        restoreLast: command.restoreLast,
        checkpoints: checkpointPolicyOf(command.values),
        lazy: command.lazyWorker,
        kernelInfo,
        offersSubshells: command.values['kernel.subshells'],
        records: recordingOf(command.values),
        limits: kernelLimitsOf(command.values),
      },
      clients: {
        publish: (topic, frames) => channels.publish(topic, frames),
        reply: (channel, client, frames) => channels.reply(channel, client.routing, frames),
      },
      workers,
      store,
      usage: new UsageMeter(systemClock),
      signer,
      clock: systemClock,
      log,
      pacing: {
        intervalMs: command.values['output.merge_ms'],
        firstMs: config.streams.firstMs,
        bytesMax: command.values['output.merge_bytes_max'],
      },
      holdMs: config.holdMs,
      onExit: (code) => {
        stopListening()
        resolve(code)
      },
    })
    const stopListening = listenToSurroundings((event) => host.deliver(event))
    inbox.deliver = (event) => host.deliver(event)
    for (const event of early) host.deliver(event)
    started.catch(reject)
  })
}

function portsForConnectReply({ ports }: Channels): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(ports).map(([name, port]) => [`${name}_port`, port]))
}

const EXIT_BY_SIGNAL = { SIGTERM: 143, SIGHUP: 129 } as const

/** Signals, and the end of whoever started us. Returns how to stop listening. */
function listenToSurroundings(deliver: (event: KernelEvent) => void): () => void {
  const onInterrupt = (): void => deliver({ on: 'interrupt' })
  const onTerminate = (signal: keyof typeof EXIT_BY_SIGNAL): void => {
    deliver({ on: 'terminate', code: EXIT_BY_SIGNAL[signal] })
  }
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  process.on('SIGHUP', onTerminate)
  const starter = process.ppid
  // Jupyter names the process that must not be survived; started by hand, a kernel may outlive its shell.
  const named = Number(process.env['JPY_PARENT_PID'] ?? 0)
  const poll =
    named > 1
      ? setInterval(() => {
          // It may have ended before we looked for the first time; then init is our parent from the beginning.
          const orphaned = starter !== named && process.ppid === 1
          if (orphaned || process.ppid !== starter) deliver({ on: 'terminate', code: 1 })
        }, config.starterPollMs)
      : undefined
  return () => {
    clearInterval(poll)
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onTerminate)
    process.off('SIGHUP', onTerminate)
  }
}
