/** Server-sent events of an execution, as they come. */

import type { IncomingMessage } from 'node:http'
import { SavepointError } from '../errors.js'
import { textOf } from './gateway-client.js'

export interface ServerEvent {
  readonly id: number
  readonly event: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Ends when the connection does. Throws `unknown_execution` when there is nothing to follow. */
export async function* readEvents(answer: IncomingMessage): AsyncGenerator<ServerEvent> {
  if (answer.statusCode !== 200) {
    const text = await textOf(answer)
    throw new SavepointError(
      'unknown_execution',
      `The execution cannot be followed (${answer.statusCode}): ${text.slice(0, 300)}`,
    )
  }
  answer.setEncoding('utf8')
  let pieces: string[] = []
  try {
    for await (const chunk of answer as AsyncIterable<string>) {
      const [first = '', ...blocks] = chunk.split('\n\n')
      pieces.push(first)
      for (const block of blocks) {
        const event = eventOf(pieces.join(''))
        if (event) yield event
        pieces = [block]
      }
    }
  } catch (error) {
    // Cut off in the middle: the caller asks for the rest.
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error
  }
}

/** null: a sign of life. */
function eventOf(block: string): ServerEvent | null {
  const fields = new Map(
    block.split('\n').map((line): [string, string] => {
      const at = line.indexOf(': ')
      return [line.slice(0, at), line.slice(at + 2)]
    }),
  )
  const data = fields.get('data')
  if (data === undefined) return null
  return {
    id: Number(fields.get('id') ?? 0),
    event: fields.get('event') ?? 'message',
    data: JSON.parse(data) as Readonly<Record<string, unknown>>,
  }
}
