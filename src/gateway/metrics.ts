/** What Prometheus reads: HTTP requests, kernels, WebSockets, workers of the pool, and this process. */

import { readdirSync } from 'node:fs'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Channels, GatewayKernels, PoolView } from './ports.js'

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Name of the metric, and what of `GatewayKernels.counted` it tells. */
const COUNTED = [
  ['savepoint_guard_copies_total', 'copies_taken', 'Copies that guards have taken'],
  ['savepoint_guard_skipped_total', 'copies_skipped', 'Cells behind which there is none'],
  ['savepoint_recoveries_total', 'recoveries', 'Workers that died and were followed by a copy'],
  ['savepoint_undos_total', 'undos', 'Undone cells, each call once'],
  ['savepoint_redos_total', 'redos', 'Redone cells, each call once'],
] as const

export interface Metrics {
  /** A request was answered. `route` is its pattern: URLs are many, and hold tokens. */
  answered(method: string, route: string, status: number, seconds: number): void
  text(): Promise<string>
  readonly contentType: string
}

export function metricsOf(kernels: GatewayKernels, channels: Channels, pool: PoolView, started: Date): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Histogram({
    // The name and labels that jupyter_server has.
    name: 'http_request_duration_seconds',
    help: 'Time that requests took',
    labelNames: ['method', 'handler', 'status_code'],
    buckets: SECONDS,
    registers,
  })
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
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
  gauge('savepoint_snapshot_bytes', 'Memory that they alone hold', () => kernels.snapshots.bytes)
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
  return {
    answered: (method, handler, status, seconds) =>
      requests.observe({ method, handler, status_code: String(status) }, seconds),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
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
