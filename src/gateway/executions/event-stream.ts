/**
 * An execution's events for one client, as server-sent events.
 *
 * Docs: https://html.spec.whatwg.org/multipage/server-sent-events.html
 */

import type { ServerResponse } from 'node:http'
import type { Clock } from '../../clock.js'
import { isOver } from './execution.js'
import type { FeedEvent } from './feed.js'
import type { Run } from './kernel-runs.js'
import type { ExecutionLimits } from './limits.js'

export interface EventStreamParts {
  readonly clock: Clock
  readonly limits: ExecutionLimits
  /** The whole execution, for a client that has missed more than is kept. */
  readonly model: () => unknown
}

/**
 * Sends what came after the event `lastId`, then what comes, and ends with the execution. Whoever has missed what is
 * not kept any more gets one event `snapshot` with all that there is now. A client that does not read is cut off.
 */
export function streamEvents(response: ServerResponse, run: Run, lastId: number, parts: EventStreamParts): void {
  const { clock, limits } = parts
  const send = (text: string): void => {
    response.write(text)
    // It may come back with the number of the last event that it has.
    if (response.writableLength > limits.unreadBytesMax) response.destroy()
  }
  const tell = (event: FeedEvent): void => {
    send(textOf(event))
    if (event.event === 'end') response.end()
  }
  const missed = run.feed.since(lastId)
  if (missed) for (const event of missed) tell(event)
  else send(textOf({ id: run.feed.latest, event: 'snapshot', data: JSON.stringify(parts.model()) }))
  if (isOver(run.execution)) {
    response.end()
    return
  }
  const stop = run.feed.listen(tell)
  let cancel = clock.after(limits.heartbeatMs, beat)
  function beat(): void {
    send(': alive\n\n')
    cancel = clock.after(limits.heartbeatMs, beat)
  }
  response.on('close', () => {
    stop()
    cancel()
  })
}

/** The number that a client names in `Last-Event-ID`; anything else counts as none. */
export function lastEventId(header: string | string[] | undefined): number {
  const value = typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : 0
  return value
}

function textOf({ id, event, data }: FeedEvent): string {
  return `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`
}
