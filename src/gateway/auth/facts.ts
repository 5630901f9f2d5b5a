/** What the decision about a request or an upgrade rests on, and nothing else of it. */

import type { IncomingHttpHeaders } from 'node:http'

export interface RequestFacts {
  readonly method: string
  /** Pattern of the route that the router found (`/api/kernels/:id`), without the base path; null: there is none. */
  readonly route: string | null
  /** Path and query, without the base path and without `/t/T`. */
  readonly url: string
  /** T of a path `/t/T/…`, as `takePathToken` gave it; null: there was none. */
  readonly pathToken: string | null
  readonly headers: IncomingHttpHeaders
  /** Address of the socket's other end. */
  readonly peer: string
  /** Whether the socket itself is TLS. */
  readonly encrypted: boolean
  /** It wants to become a WebSocket. */
  readonly upgrade: boolean
}
