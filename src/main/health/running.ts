/** How a gateway that runs fares, by what it counts itself. */

import { textOf, type GatewayClient } from '../gateway-client.js'
import { warning, type Finding } from './finding.js'

/** Counters that are 0 when all is well, what it means that they are not, and what to do. */
const ALARMS: readonly (readonly [metric: string, name: string, detail: string, why: string, remedy: string])[] = [
  [
    'savepoint_storage_failures_total',
    'checkpoints',
    'calls of the store failed',
    'Checkpoints were not kept, or not found.',
    'Look at the disk of the data folder: savepoint doctor. Nothing need be restarted.',
  ],
  [
    'savepoint_checkpoint_failures_total',
    'checkpoints',
    'checkpoints could not be written',
    'The state of their kernels is not on disk.',
    'Look at the log for why (log_level info), and at the disk: savepoint doctor',
  ],
  [
    'savepoint_history_lines_lost_total',
    'history',
    'lines of the history were lost',
    'They cannot be found again by an arrow up or %history in later sessions.',
    'Look at the disk of the data folder: savepoint doctor',
  ],
  [
    'savepoint_journal_failures_total',
    'journals',
    'times a journal could not be written',
    'Such a kernel runs on, but does not outlive a crash of the gateway until its journal can be written again.',
    'Look at the disk of the data folder: savepoint doctor. It is tried again every second.',
  ],
  [
    'savepoint_messages_missed_total',
    'output',
    'messages had gone before a client came for them',
    'That client shows less than there was; it was told so.',
    'Raise journal.bytes_max and journal.total_bytes_max.',
  ],
  [
    'savepoint_audit_lines_lost_total',
    'audit log',
    'lines of the audit log could not be written',
    'It does not tell all that was done.',
    'Look at the disk of the data folder: savepoint doctor',
  ],
]

/** Rejects with what the client says. */
export async function checkRunning(client: GatewayClient, deadlineMs: number): Promise<readonly Finding[]> {
  const counted = countsIn(await textOf(await client.open('GET', '/metrics', undefined, {}, deadlineMs)))
  return ALARMS.flatMap(([metric, name, detail, why, remedy]) => {
    const count = counted.get(metric) ?? 0
    return count > 0 ? [warning(name, `${count} ${detail} since the gateway started`, why, remedy)] : []
  })
}

/** An older gateway runs than the program that asks. */
export function checkRelease(running: string, ours: string): readonly Finding[] {
  if (running === ours) return []
  const detail = `the gateway is of release ${running}, this program of ${ours}`
  const why = 'What is new here, and what was repaired, is not in the gateway that runs.'
  return [warning('release', detail, why, 'Replace it in place, kernels live on: savepoint serve --takeover')]
}

/** Sums over all labels. */
function countsIn(text: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const [, name = '', value] of text.matchAll(/^(\w+)(?:\{.*\})? (\S+)$/gm)) {
    counts.set(name, (counts.get(name) ?? 0) + Number(value))
  }
  return counts
}
