/**
 * The gate in front of all routes, and what is left of a URL for them.
 *
 * What a token must allow stands in one table, `auth/routes`. What belongs to others is not there: it is left out of
 * lists, and asked for by its id it is unknown.
 */

import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { SavepointError } from '../errors.js'
import { notTakenUp } from '../host/kernels/refusals.js'
import type { RequestFacts } from './auth/facts.js'
import type { Gate } from './auth/gate.js'
import { corsHeaders, preflightHeaders, SECURITY_HEADERS } from './auth/headers.js'
import type { OriginRules } from './auth/origin.js'
import { owns, type Principal } from './auth/principal.js'
import { isRefusal, refusalHeaders, type Refusal } from './auth/refusal.js'
import { needOf } from './auth/routes.js'
import { namePrincipal } from './asker.js'
import { takePathToken } from './auth/token-place.js'
import type { ErrorBody } from './http-errors.js'
import { reasonOf } from './http-errors.js'
import type { GatewayKernel, GatewayKernels } from './ports.js'

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal
  }
}

/** Tokens that stood in paths, until the gate asks for them. */
const pathTokens = new WeakMap<IncomingMessage, string>()
/** No route begins so. */
const OUTSIDE = '/.outside'

/** Path and query without the base URL, and without a token that stood there. */
export function routeUrl(request: IncomingMessage, baseUrl: string): string {
  const url = request.url ?? '/'
  const isInside = url.startsWith(baseUrl) || `${url}/` === baseUrl
  if (!isInside) return OUTSIDE
  const { url: rest, token } = takePathToken(`/${url.slice(baseUrl.length)}`)
  if (token !== null) pathTokens.set(request, token)
  return rest
}

export function factsOf(request: IncomingMessage, url: string, route: string | null, upgrade: boolean): RequestFacts {
  return {
    method: request.method ?? 'GET',
    route,
    url,
    pathToken: pathTokens.get(request) ?? null,
    headers: request.headers,
    peer: request.socket.remoteAddress ?? '',
    encrypted: request.socket instanceof TLSSocket,
    upgrade,
  }
}

export function guardRoutes(app: FastifyInstance, gate: Gate, origins: OriginRules): void {
  app.decorateRequest('principal')
  const unguarded: string[] = []
  app.addHook('onRoute', ({ method, url }) => {
    const verbs = [method].flat().filter((verb) => needOf({ method: verb, route: url, upgrade: false }) === undefined)
    unguarded.push(...verbs.map((verb) => `${verb} ${url}`))
  })
  app.addHook('onReady', async () => {
    if (unguarded.length === 0) return
    const message = `What a token must allow for ${unguarded.join(', ')} does not stand in auth/routes.ts.`
    throw new SavepointError('internal', message)
  })
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers(SECURITY_HEADERS)
    const facts = factsOf(request.raw, request.url, request.routeOptions.url ?? null, false)
    void reply.headers(
      request.method === 'OPTIONS' ? preflightHeaders(request.headers, origins) : corsHeaders(request.headers, origins),
    )
    const verdict = await gate.authenticate(facts)
    if (!isRefusal(verdict)) {
      request.principal = verdict
      namePrincipal(request, verdict)
      return
    }
    request.failure = verdict.code
    return await reply.code(verdict.status).headers(refusalHeaders(verdict)).send(refusalBody(verdict))
  })
}

export function refusalBody({ code, message, status, retryAfterS }: Refusal): ErrorBody {
  const details = retryAfterS === null ? {} : { retry_after_s: retryAfterS }
  return { code, message, reason: reasonOf(status), details }
}

/** Throws `unknown_kernel`, also for a kernel of somebody else, and `starting` for one that was not taken up yet. */
export function kernelFor(kernels: GatewayKernels, id: string, principal: Principal): GatewayKernel {
  const kernel = kernels.find(id)
  if (kernel !== undefined && owns(principal, kernel.owner)) {
    if (kernel.phase === 'returning') throw notTakenUp()
    return kernel
  }
  const kernel_id = id.slice(0, 100)
  throw new SavepointError('unknown_kernel', `Kernel does not exist: ${kernel_id}`, { kernel_id })
}
