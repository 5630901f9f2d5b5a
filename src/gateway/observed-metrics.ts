/** Metrics of what happens: each fact that is observed is counted here. */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Observe, Observed } from '../observe.js'

/** From a cell that does nothing to one that trains a model. */
const CELL_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800]
const START_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

type Facts<W extends Observed['what']> = Extract<Observed, { what: W }>
type Handlers = { readonly [W in Observed['what']]?: (facts: Facts<W>) => void }

/** Registers them; returns who is to be told. */
export function observedMetrics(registry: Registry): Observe {
  const registers = [registry]
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> =>
    new Counter({ name, help, labelNames, registers })
  const histogram = <L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) =>
    new Histogram({ name, help, buckets, labelNames, registers })

  // The name and labels that jupyter_server has.
  const requests = histogram(
    'http_request_duration_seconds',
    'Time that requests took',
    START_SECONDS.concat(0.001, 0.0025).toSorted((a, b) => a - b),
    'method',
    'handler',
    'status_code',
  )
  const refusals = counter(
    'savepoint_refusals_total',
    'Requests that were not let in or had too much of something',
    'code',
  )
  const starts = counter('savepoint_kernel_starts_total', 'Kernels that were asked for, by outcome', 'outcome')
  const startSeconds = histogram('savepoint_kernel_start_seconds', 'Time until a new kernel was ready', START_SECONDS)
  const leases = counter('savepoint_worker_leases_total', 'Workers that were given to kernels')
  const deaths = counter('savepoint_process_deaths_total', 'Processes that ended unasked', 'process', 'cause')
  const cells = counter('savepoint_executions_total', 'Cells that have ended, by outcome', 'outcome')
  const cellSeconds = histogram('savepoint_execution_seconds', 'Time from busy to reply', CELL_SECONDS, 'outcome')
  const waitSeconds = histogram('savepoint_execution_wait_seconds', 'Time from request to busy', CELL_SECONDS)
  const present = new Gauge({
    name: 'savepoint_executions',
    help: 'Cells that wait for their turn, and cells that run',
    labelNames: ['state'],
    registers,
  })
  const interrupts = counter('savepoint_interrupts_total', 'Interrupts that were asked for')
  const checkpoints = counter('savepoint_checkpoints_total', 'Checkpoints that were written')
  const checkpointBytes = counter('savepoint_checkpoint_bytes_total', 'Bytes that checkpoints added to the disk')
  const writeSeconds = histogram('savepoint_checkpoint_write_seconds', 'Time that their writers took', CELL_SECONDS)
  const pauseSeconds = histogram('savepoint_checkpoint_pause_seconds', 'Time that kernels were held up', CELL_SECONDS)
  const restores = counter(
    'savepoint_checkpoints_opened_total',
    'Checkpoints that were opened to be restored',
    'outcome',
  )
  const storage = counter(
    'savepoint_storage_failures_total',
    'Calls of the store that failed for want of a disk',
    'call',
  )
  const history = counter('savepoint_history_lines_lost_total', 'Lines of the history that could not be kept')
  const audit = counter('savepoint_audit_lines_lost_total', 'Lines of the audit log that could not be written')
  const missed = counter('savepoint_messages_missed_total', 'Messages that a client came too late for')
  const dropped = counter('savepoint_requests_dropped_total', 'Messages of clients that were not taken', 'type')
  const takeUps = counter('savepoint_takeups_total', 'Kernels of a gateway before this one', 'outcome')
  const journals = counter('savepoint_journal_failures_total', 'Times that a journal could not be written any more')
  const connections = counter('savepoint_websocket_connections_total', 'WebSockets that were opened')

  // From the first scrape on: what was never counted is 0, not absent.
  for (const outcome of ['ok', 'error', 'aborted', 'interrupted', 'died', 'refused']) cells.inc({ outcome }, 0)
  for (const state of ['queued', 'running']) present.set({ state }, 0)

  const handlers: Handlers = {
    request({ method, route, status, code, ms }) {
      requests.observe({ method, handler: route, status_code: String(status) }, ms / 1_000)
      if (status === 401 || status === 403 || status === 429) refusals.inc({ code: code ?? 'other' })
    },
    connected: () => connections.inc(),
    kernel_started({ code, ms }) {
      starts.inc({ outcome: code ?? 'ok' })
      if (code === null) startSeconds.observe(ms / 1_000)
    },
    worker_up: () => leases.inc(),
    worker_died: ({ cause }) => deaths.inc({ process: 'worker', cause }),
    zygote_died: ({ cause }) => deaths.inc({ process: 'zygote', cause }),
    cell_asked: () => present.inc({ state: 'queued' }),
    cell_began() {
      present.dec({ state: 'queued' })
      present.inc({ state: 'running' })
    },
    cell_ended({ outcome, asked, ms, waited_ms }) {
      cells.inc({ outcome })
      if (asked !== null) present.dec({ state: ms === null ? 'queued' : 'running' })
      if (ms === null || outcome === 'aborted') return
      cellSeconds.observe({ outcome }, ms / 1_000)
      waitSeconds.observe((waited_ms ?? 0) / 1_000)
    },
    interrupted: () => interrupts.inc(),
    stored({ call, code, bytes, pause_ms, write_ms }) {
      if (code === 'storage_failed') storage.inc({ call })
      if (call === 'open_checkpoint') restores.inc({ outcome: code ?? 'ok' })
      if (call !== 'seal_checkpoint' || code !== null) return
      checkpoints.inc()
      checkpointBytes.inc(bytes)
      writeSeconds.observe((write_ms ?? 0) / 1_000)
      pauseSeconds.observe((pause_ms ?? 0) / 1_000)
    },
    history_lost: ({ lines }) => history.inc(lines),
    audit_lost: () => audit.inc(),
    missed: ({ messages }) => missed.inc(messages),
    message_dropped: ({ type }) => dropped.inc({ type: KNOWN_TYPES.has(type) ? type : 'other' }),
    taken_up: ({ outcome }) => takeUps.inc({ outcome }),
    journal_failed: () => journals.inc(),
  }
  return (facts) => (handlers[facts.what] as ((facts: Observed) => void) | undefined)?.(facts)
}

/** A client may call its messages what it likes; labels are few. */
const KNOWN_TYPES: ReadonlySet<string> = new Set(['execute_request', 'comm_msg', 'comm_open', 'input_reply', 'other'])
