/**
 * Executions that an earlier process of the gateway has served, made anew out of their records and of the kernel's
 * journal: what they have put out, and what those who follow them were told.
 */

import type { JournalMessage, MessageJournal } from '../../host/journal/messages.js'
import { newExecution, type Execution } from './execution.js'
import { Feed } from './feed.js'
import { summaryOf } from './model.js'
import { update } from './outputs.js'
import type { ExecutionEnd, ExecutionRecord } from './records.js'
import type { Run } from './kernel-runs.js'
import type { ExecutionLimits } from './limits.js'

const READ_BYTES = 1_048_576
const CONTENT = 5
const CUT = 'Some of its output is not kept any more: the gateway was restarted, and the journal is bounded.'

/** What the journal has after that message. */
export function* messagesAfter(journal: MessageJournal, seq: number): Generator<JournalMessage> {
  let at = seq
  for (let next = journal.since(at, READ_BYTES); next.length > 0; next = journal.since(at, READ_BYTES)) {
    yield* next
    at = next.at(-1)?.seq ?? journal.newest
  }
}

/** As it was when it was sent. */
export function executionOf(record: ExecutionRecord, kernelId: string): Execution {
  const { id, request, created_at, cancelling } = record
  return { ...newExecution(id, kernelId, request, new Date(created_at)), cancelling }
}

/** One that has ended, without what it has put out. */
export function endedRun(record: ExecutionRecord, end: ExecutionEnd, kernelId: string, feedBytesMax: number): Run {
  const execution = executionOf(record, kernelId)
  conclude(execution, end)
  return { execution, headerBytes: Buffer.from(record.header), feed: new Feed(feedBytesMax), answered: 0 }
}

/** Takes what the kernel has said. */
interface Hearing {
  recall(record: ExecutionRecord): Run
  hear(message: JournalMessage): void
}

/** The same one, whole as far as that is still known; `runs` has no others. */
export function wholeRun(
  record: ExecutionRecord,
  end: ExecutionEnd,
  runs: Hearing,
  { journal, limits }: { readonly journal: MessageJournal; readonly limits: ExecutionLimits },
): Run {
  const isCut = journal.oldest > record.seq + 1
  const request = isCut && end.outputs === null ? withWarning(record) : record.request
  const run = runs.recall({ ...record, request, end: null })
  if (isCut) run.feed.forget(journal.oldest - 1)
  for (const message of messagesAfter(journal, record.seq)) {
    if (message.seq <= end.seq) runs.hear(message)
    else if (run.execution.outputs.displays.size === 0) break
    else updateBy(message, run.execution, limits.outputBytesMax)
  }
  const isTold = run.execution.status === end.status
  conclude(run.execution, end)
  if (isCut && end.outputs !== null) run.execution.outputs.list.splice(0, Infinity, ...end.outputs)
  if (!isTold) run.feed.add('end', JSON.stringify(summaryOf(run.execution, 0)))
  return run
}

export function withWarning({ request }: ExecutionRecord): ExecutionRecord['request'] {
  return { ...request, warnings: [...request.warnings, CUT] }
}

function conclude(execution: Execution, end: ExecutionEnd): void {
  execution.status = end.status
  execution.executionCount = end.execution_count
  execution.failure = end.error
  execution.savepoint = end.savepoint
  execution.question = null
  execution.outputs.bytesCut = end.bytes_cut
}

/** Any cell may have shown a display of this one anew. */
function updateBy({ frames }: JournalMessage, { outputs }: Execution, bytesMax: number): void {
  const content = frames[CONTENT]
  if (content?.includes('"display_id"') !== true) return
  try {
    update(outputs, JSON.parse(content.toString('utf8')) as object as never, content.length, bytesMax)
  } catch {
    // User code can publish anything.
  }
}
