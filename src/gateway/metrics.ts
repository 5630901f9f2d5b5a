/** What Prometheus reads: what was observed, kernels, WebSockets, workers of the pool, journals, and this process. */

import { readdirSync } from 'node:fs'
import { Counter, Gauge, Registry } from 'prom-client'
import type { Observe } from '../observe.js'
import { observedMetrics } from './observed-metrics.js'
import type { Channels, GatewayKernels, PoolView } from './ports.js'

/** Name of the metric, and what of `GatewayKernels.counted` it tells. */
const COUNTED = [
  ['savepoint_guard_copies_total', 'copies_taken', 'Copies that guards have taken'],
  ['savepoint_guard_skipped_total', 'copies_skipped', 'Cells behind which there is none'],
  ['savepoint_recoveries_total', 'recoveries', 'Workers that died and were followed by a copy'],
  ['savepoint_undos_total', 'undos', 'Undone cells, each call once'],
  ['savepoint_redos_total', 'redos', 'Redone cells, each call once'],
  ['savepoint_checkpoint_failures_total', 'checkpoints_failed', 'Checkpoints that were begun and could not be written'],
] as const

export interface Metrics {
  readonly observe: Observe
  /** Adds what is looked up when somebody reads; once. */
  lookAt(gateway: Looked): void
  text(): Promise<string>
  readonly contentType: string
}

/** What can be asked how it is. */
export interface Looked {
  readonly kernels: GatewayKernels
  readonly channels: Channels
  readonly pool: PoolView
  readonly version: string
  readonly started: Date
}

/** Figures that other parts keep; each under its metric's name, with what it tells. */
export type FurtherGauges = Readonly<Record<string, { readonly help: string; readonly read: () => number }>>

export function createMetrics(further: FurtherGauges = {}): Metrics {
  const registry = new Registry()
  const observe = observedMetrics(registry)
  for (const [name, { help, read }] of Object.entries(further)) gaugeIn(registry, name, help, read)
  return {
    observe,
    lookAt: (looked) => addGauges(registry, looked),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

function gaugeIn(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read())
    },
  })
}

function addGauges(registry: Registry, { kernels, channels, pool, version, started }: Looked): void {
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number): void => gaugeIn(registry, name, help, read)
  const gaugeBy = (name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): Gauge =>
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset()
        for (const [key, value] of Object.entries(read())) this.set({ [label]: key }, value)
      },
    })
  gaugeBy('kernel_currently_running_total', 'Kernels by kernelspec', 'type', () => tally(kernels, ({ name }) => name))
  gaugeBy('savepoint_kernels', 'Kernels by execution state', 'state', () =>
    tally(kernels, (kernel) => kernel.status.execution_state),
  )
  gaugeBy('savepoint_pool_workers', 'Workers of the pool by state', 'state', () => pool.counts())
  new Counter({
    name: 'savepoint_kernel_forks_total',
    help: 'Kernels that began as copies of others',
    registers,
    collect() {
      this.reset()
      this.inc(kernels.forked)
    },
  })
  gauge('savepoint_snapshots', 'Frozen copies of kernels', () => kernels.snapshots.count)
  gauge('savepoint_snapshot_bytes', 'Memory that they alone hold, measured or estimated', () => kernels.snapshots.bytes)
  for (const [name, what, help] of COUNTED) {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(kernels.counted[what] ?? 0)
      },
    })
  }
  gauge('savepoint_websockets', 'WebSockets that are open', () => channels.count())
  gauge('process_resident_memory_bytes', 'Memory of the gateway itself', () => process.memoryUsage.rss())
  gauge('process_cpu_seconds_total', 'Processor time of the gateway itself', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('process_open_fds', 'Open file descriptors of the gateway', openDescriptors)
  gauge('process_start_time_seconds', 'When the gateway started', () => started.getTime() / 1000)
  gaugeBy('savepoint_build_info', 'The release that runs; always 1', 'version', () => ({ [version]: 1 }))
}

function tally(
  kernels: GatewayKernels,
  key: (kernel: ReturnType<GatewayKernels['list']>[number]) => string,
): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const kernel of kernels.list()) counts[key(kernel)] = (counts[key(kernel)] ?? 0) + 1
  return counts
}

function openDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return 0
  }
}
