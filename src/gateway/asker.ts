/** Who asks for something over HTTP: told once for each request, and in force while its route is at work. */

import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { BlockList } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { asking, saneRequestId, saneTraceparent, type Asker, type Observe } from '../observe.js'
import { originationOf } from './auth/address.js'
import type { Principal } from './auth/principal.js'
import { routeOf } from './http-errors.js'

/** What answers and log lines say of a request. */
export const REQUEST_ID = 'x-request-id'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before anything else is done. */
    asker: Asker
    /** Code of the error that it is answered with; null: none. */
    failure: string | null
  }
}

/** `subject`: empty as long as nobody knows. */
let serial = 0

export function askerOf(request: IncomingMessage, proxies: BlockList, subject = ''): Asker {
  const { headers, socket } = request
  serial += 1
  return {
    serial,
    request: saneRequestId(headers[REQUEST_ID]) ?? randomUUID(),
    traceparent: saneTraceparent(headers['traceparent']),
    subject,
    address: originationOf(headers, socket.remoteAddress ?? '', socket instanceof TLSSocket, proxies).address,
  }
}

/** To be called before any other hook is added: a request that is refused has an id as well. */
export function nameAskers(app: FastifyInstance, proxies: BlockList, observe: Observe): void {
  app.decorateRequest('asker')
  app.decorateRequest('failure', null)
  app.addHook('onRequest', (request, reply, done) => {
    request.asker = askerOf(request.raw, proxies)
    void reply.header(REQUEST_ID, request.asker.request)
    observe({ what: 'request_began', asker: request.asker, method: request.method, route: routeOf(request) })
    done()
  })
  // The last hook before the route: what it does from here on is done for this request.
  app.addHook('preHandler', (request, _reply, done) => asking.run(request.asker, done))
}

export function namePrincipal(request: FastifyRequest, { subject }: Principal): void {
  request.asker = { ...request.asker, subject }
}

/** Tells of each request when it was answered. `answered` hears of it first. */
export function tellOfRequests(app: FastifyInstance, observe: Observe): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { id = null, ...rest } = (request.params ?? {}) as Record<string, string>
    const route = routeOf(request)
    const [target = null] = Object.values(rest)
    observe({
      what: 'request',
      asker: request.asker,
      method: request.method,
      route,
      kernel: route.startsWith('/api/kernels/:id') && id !== null ? id.slice(0, 200) : null,
      target: target?.slice(0, 200) ?? null,
      status: reply.statusCode,
      code: request.failure,
      began: Date.now() - reply.elapsedTime,
      ms: reply.elapsedTime,
    })
    done()
  })
}
