/** Everybody who watches a gateway, as its settings want it: metrics, the log, the audit log, traces. */

import { createMetrics, type Metrics } from '../gateway/metrics.js'
import { JournalBudget } from '../host/journal/budget.js'
import type { Log } from '../log.js'
import { toAll, type Observe } from '../observe.js'
import type { SettingValues } from '../settings.js'
import { openAudit } from './audit.js'
import { observedLog } from './observed-log.js'
import { openTracing } from './tracing.js'

export interface Observers {
  readonly observe: Observe
  readonly metrics: Metrics
  /** Of the journals of all kernels, which it looks at. */
  readonly budget: JournalBudget
  /** Sends what waits to be sent, and closes files. Never rejects. */
  close(): Promise<void>
}

/** Throws USAGE for a setting that cannot be. */
export async function openObservers(
  values: SettingValues,
  { dataDir, version, log }: { readonly dataDir: string; readonly version: string; readonly log: Log },
): Promise<Observers> {
  const budget = new JournalBudget(values['journal.total_bytes_max'])
  const metrics = createMetrics({
    savepoint_journal_bytes: { help: 'Bytes of the journals of all kernels', read: () => budget.bytes },
    savepoint_journals_failed: { help: 'Journals that cannot be written now', read: () => budget.failed },
  })
  const tracing = await openTracing(values, version, log)
  const audit = openAudit(values, dataDir, log, () => metrics.observe({ what: 'audit_lost' }))
  const watchers = [metrics.observe, observedLog(log), audit?.observe, tracing?.observe]
  return {
    observe: toAll(
      watchers.filter((each) => each !== undefined),
      (error) => log('error', 'observer_failed', { error: String(error) }),
    ),
    metrics,
    budget,
    async close() {
      await tracing?.close()
      audit?.close()
    },
  }
}
