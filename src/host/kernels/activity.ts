/**
 * What a kernel is seen to be doing, as Jupyter Server tracks it: from what it publishes.
 *
 * Requests that clients send to find out how the kernel is do not count, or a kernel that is merely looked at would
 * never be idle. Unlike Jupyter Server we count the requests that are being served, so that a kernel does not seem idle
 * when a widget's message was served beside a running cell.
 */

import { EMPTY_OBJECT } from '../../wire/message.js'
import type { MessageJournal } from '../journal/messages.js'

export type ExecutionState = 'starting' | 'idle' | 'busy' | 'restarting' | 'dead'

export interface Activity {
  executionState: ExecutionState
  /** Milliseconds since the epoch. */
  lastActivity: number
  /** msg_ids of the counted requests that are being served. */
  readonly serving: Set<string>
}

/** A superset of what is sent on any channel other than shell. */
const UNCOUNTED: ReadonlySet<string> = new Set([
  'comm_info_request',
  'comm_info_reply',
  'kernel_info_request',
  'kernel_info_reply',
  'shutdown_request',
  'shutdown_reply',
  'interrupt_request',
  'interrupt_reply',
  'debug_request',
  'debug_reply',
  'usage_request',
  'usage_reply',
  'stream',
  'display_data',
  'update_display_data',
  'execute_input',
  'execute_result',
  'error',
  'status',
  'clear_output',
  'debug_event',
  'input_request',
  'input_reply',
])

export function newActivity(now: number): Activity {
  return { executionState: 'starting', lastActivity: now, serving: new Set() }
}

/** Another process takes the place of the one that was watched, or none. */
export function enter(activity: Activity, state: ExecutionState, now: number): void {
  activity.executionState = state
  activity.serving.clear()
  // That it went to sleep is nothing that anybody did.
  if (state !== 'idle') activity.lastActivity = now
}

/** An earlier gateway had it. */
export function recall(activity: Activity, record: { readonly phase: string; readonly last_activity: string }): void {
  activity.lastActivity = Date.parse(record.last_activity) || activity.lastActivity
  if (record.phase === 'dead') activity.executionState = 'dead'
}

/** It goes on as what it was when its gateway ended: what is being served is what has its busy and not its idle. */
export function resume(activity: Activity, journal: MessageJournal): void {
  enter(activity, 'idle', 0)
  for (const { seq } of [...journal.running(), { seq: journal.newest }]) {
    const [message] = journal.since(seq - 1, 1)
    if (message?.to !== null) continue
    const [, , header = EMPTY_OBJECT, parent = EMPTY_OBJECT, , content = EMPTY_OBJECT] = message.frames
    const { date } = JSON.parse(header.toString()) as { readonly date?: string }
    const at = Math.max(activity.lastActivity, Date.parse(date ?? '') || 0)
    note(activity, message.topic, parent, content, at)
  }
}

/** Takes note of a publication. `parent` and `content` are bytes of JSON; `now`: milliseconds since the epoch. */
export function note(activity: Activity, type: string, parent: Buffer, content: Buffer, now: number): void {
  if (type !== 'status') {
    if (activity.executionState === 'busy' || !UNCOUNTED.has(type) || counts(parentOf(parent))) {
      activity.lastActivity = now
    }
    return
  }
  if (DONE_FOR.has(activity.executionState)) return
  const { execution_state } = JSON.parse(content.toString()) as { execution_state: ExecutionState }
  const by = parentOf(parent)
  if (!counts(by)) {
    if (activity.executionState === 'busy') activity.lastActivity = now
    // The first sign of life after a start.
    else if (execution_state !== 'starting') activity.executionState = 'idle'
    return
  }
  activity.lastActivity = now
  if (execution_state === 'busy') activity.serving.add(by.msg_id ?? '')
  else if (execution_state === 'idle') activity.serving.delete(by.msg_id ?? '')
  const bracketed = execution_state === 'busy' || execution_state === 'idle'
  activity.executionState = !bracketed ? execution_state : activity.serving.size > 0 ? 'busy' : 'idle'
}

/** What a process says while it is being ended is not about the one that follows. */
const DONE_FOR: ReadonlySet<ExecutionState> = new Set(['restarting', 'dead'])

interface Parent {
  readonly msg_id?: string
  readonly msg_type?: string
}

/** Header bytes are those of a client, verified to be JSON of an object. */
function parentOf(bytes: Buffer): Parent {
  return bytes.length <= 2 ? {} : (JSON.parse(bytes.toString()) as Parent)
}

/** What belongs to no request counts. */
function counts({ msg_type }: Parent): boolean {
  return msg_type === undefined || !UNCOUNTED.has(msg_type)
}
