/** Tells that the client of a request has gone before its answer. */

import type { FastifyReply } from 'fastify'

export function hungUpSignal({ raw }: Pick<FastifyReply, 'raw'>): AbortSignal {
  const hungUp = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) hungUp.abort()
  })
  return hungUp.signal
}
