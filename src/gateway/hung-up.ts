/** Tells that the client of a request has gone before its answer. */

import type { ServerResponse } from 'node:http'

export function hungUpSignal({ raw }: { readonly raw: ServerResponse }): AbortSignal {
  const hungUp = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) hungUp.abort()
  })
  return hungUp.signal
}
