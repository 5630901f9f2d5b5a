/** ZeroMQ channels for kernels of a gateway: unix sockets in a private folder, and a file where Jupyter looks for it. */

import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { v4 as uuid } from 'uuid'
import { systemClock } from '../clock.js'
import { config, jupyterRuntimeDir, type Environment } from '../config.js'
import { makeFolder } from '../folders.js'
import type { BindChannels } from '../host/kernels/connections.js'
import type { Log } from '../log.js'
import { bindChannels } from '../sockets/channels.js'
import { openConnectionFile } from '../sockets/connection-file.js'
import { mergePorts, newConnectionFields } from '../wire/connection.js'
import { createSigner, SignatureGuard } from '../wire/signature.js'

export interface ConnectionsSurroundings {
  /** Private (0700), and short: it becomes part of the names of sockets. */
  readonly folder: string
  readonly env: Environment
  readonly log: Log
  readonly outboxBytesMax: number
  /** How long a client that takes nothing holds the kernel up; then it misses what is published until it takes something. */
  readonly holdMaxMs?: number
}

export function bindChannelsIn({
  folder,
  env,
  log,
  outboxBytesMax,
  holdMaxMs = config.kernels.holdMaxMs,
}: ConnectionsSurroundings): BindChannels {
  return async ({ kernelId, kernelName, scheme, key, at, ...handlers }) => {
    const runtimeDir = jupyterRuntimeDir(env)
    makeFolder(folder, 0o700)
    makeFolder(runtimeDir, 0o700)
    const path = join(runtimeDir, `kernel-${kernelId}.json`)
    // One that a gateway left behind that was killed: its sockets have nobody behind them.
    rmSync(path, { force: true })
    const fields = {
      ...newConnectionFields(key),
      transport: 'ipc',
      ip: join(folder, `z${randomBytes(3).toString('hex')}`),
      signature_scheme: scheme,
      kernel_name: kernelName,
      ...(at === null ? {} : { ip: at.ip, ...portFields(at.ports) }),
    }
    const file = await openConnectionFile(path, undefined, fields)
    const signer = createSigner(scheme, key)
    let dropping = false
    let cancel = (): void => {}
    const channels = await bindChannels(file.connection, {
      log,
      session: uuid(),
      signer,
      guard: new SignatureGuard(signer),
      outboxBytesMax,
      onRequest: (channel, routing, message) => handlers.onRequest(channel, routing, message),
      // Unix sockets do not show who lags, and a gateway's memory is that of all kernels.
      subscriberMessagesMax: config.kernels.queuedMessagesMax,
      ...(at === null ? {} : { patienceMs: config.kernels.clientsBackMs }),
      onFull: () => {
        handlers.onFull()
        cancel = systemClock.after(holdMaxMs, () => {
          dropping = true
          log('warn', 'zeromq_client_too_slow', { kernel: kernelId })
        })
      },
      onDrained: () => {
        cancel()
        dropping = false
        handlers.onDrained()
      },
    })
    const close = async (): Promise<void> => {
      cancel()
      await file.dispose()
      await channels.close(config.flushMs)
    }
    try {
      await file.writePorts(channels.ports)
    } catch (error) {
      await close()
      throw error
    }
    return {
      facts: { connection_file: path, connection_info: mergePorts(fields, channels.ports) },
      at: { ip: fields.ip, ports: channels.ports },
      publish: (topic, frames) => void (dropping || channels.publish(topic, frames)),
      reply: (channel, routing, frames) => channels.reply(channel, routing, frames),
      close,
    }
  }
}

/** Ports as they stand in a connection file. */
function portFields(ports: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(ports).map(([name, port]) => [`${name}_port`, port]))
}
