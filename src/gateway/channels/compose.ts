/** Messages that the gateway itself says to one client. */

import { randomUUID } from 'node:crypto'
import type { Clock } from '../../clock.js'
import { seal } from '../../wire/codec.js'
import { EMPTY_OBJECT, json } from '../../wire/message.js'

/** Frames of a `stream` on stderr that stands in the output of the request with this header; `{}`: of none. */
export type Complain = (text: string, parentBytes?: Buffer) => readonly Buffer[]

export function createComplain(clock: Clock): Complain {
  const session = randomUUID()
  return (text, parentBytes = EMPTY_OBJECT) =>
    seal(
      {
        type: 'stream',
        parentBytes,
        metadataBytes: EMPTY_OBJECT,
        contentBytes: json({ name: 'stderr', text: `${text}\n` }),
        buffers: [],
      },
      { msg_id: randomUUID(), date: clock.date().toISOString(), session },
      null,
    )
}
