/**
 * From an HTTP request to a kernel's WebSocket. Whoever may not, or asks for a kernel that is not there, gets an
 * ordinary answer before any switch of protocols.
 */

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocketServer } from 'ws'
import { SavepointError } from '../errors.js'
import type { Asker } from '../observe.js'
import { askerOf, REQUEST_ID } from './asker.js'
import { factsOf, kernelFor, refusalBody, routeUrl } from './access.js'
import { isRefusal, refusalHeaders, type Refusal } from './auth/refusal.js'
import { errorBody, errorHeaders } from './http-errors.js'
import type { GatewayKernel } from './ports.js'
import type { Principal } from './auth/principal.js'
import type { RouteParts } from './routes/route.js'
import { statusOf } from './status.js'
import { writeAnswer } from './write-answer.js'

const ROUTE = '/api/kernels/:id/channels'
const PATH = /^\/api\/kernels\/([^/]+)\/channels\/?$/

export type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** The listener for `upgrade` of the HTTP server. */
export function upgradeHandler(parts: RouteParts, webSockets: WebSocketServer): OnUpgrade {
  webSockets.on('wsClientError', ({ message }, socket, request) => {
    const told = new SavepointError('bad_request', `This is no handshake of a WebSocket: ${message}.`)
    refuse(parts, socket, told, askerOf(request, parts.proxies))
  })
  return (request, socket, head) => {
    // Until somebody else listens: a peer that goes away is nothing to die of.
    const onError = (): void => void socket.destroy()
    socket.on('error', onError)
    const began = performance.now()
    const asker = askerOf(request, parts.proxies)
    admit(parts, request).then(
      ({ kernel, principal, query }) => {
        if (socket.destroyed) return
        webSockets.handleUpgrade(request, socket, head, (webSocket) => {
          socket.off('error', onError)
          parts.channels.open(webSocket, {
            kernel,
            principal,
            asker: { ...asker, subject: principal.subject },
            sessionId: query.get('session_id') || null,
            subprotocol: webSocket.protocol,
            userAgent: request.headers['user-agent'] ?? '',
            replay: query.get('replay'),
            stream: socket,
          })
        })
      },
      (error: unknown) => {
        const { status, code } = refuse(parts, socket, error, asker)
        const kernel = PATH.exec((request.url ?? '').split('?', 1)[0] ?? '')?.[1]?.slice(0, 200) ?? null
        const ms = performance.now() - began
        const told = {
          asker,
          method: 'GET',
          route: ROUTE,
          kernel,
          target: null,
          status,
          code,
          began: Date.now() - ms,
          ms,
        }
        parts.observe({ what: 'request', ...told })
      },
    )
  }
}

interface Admission {
  readonly kernel: GatewayKernel
  readonly principal: Principal
  readonly query: URLSearchParams
}

/** The gate said no. */
class Refused extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.message)
    this.refusal = refusal
  }
}

async function admit({ gate, kernels, baseUrl }: RouteParts, request: IncomingMessage): Promise<Admission> {
  const protocol = request.headers.upgrade ?? ''
  if (protocol.toLowerCase() !== 'websocket') {
    const message = `There is no upgrade to ${protocol.slice(0, 100)} here. Send the request without one.`
    throw new SavepointError('bad_request', message)
  }
  const url = routeUrl(request, baseUrl)
  const [path = '', search = ''] = url.split('?', 2)
  const [, id] = PATH.exec(path) ?? []
  const verdict = await gate.authenticate(factsOf(request, url, id === undefined ? null : ROUTE, true))
  if (isRefusal(verdict)) throw new Refused(verdict)
  if (id === undefined) throw new SavepointError('not_found', 'There is no WebSocket here.')
  return { kernel: kernelFor(kernels, id, verdict), principal: verdict, query: new URLSearchParams(search) }
}

/** What it was answered. */
function refuse(
  { log }: RouteParts,
  socket: Duplex,
  error: unknown,
  asker: Asker,
): { readonly status: number; readonly code: string } {
  const headers = { [REQUEST_ID]: asker.request }
  if (error instanceof Refused) {
    const { refusal } = error
    if (!socket.destroyed)
      writeAnswer(socket, refusal.status, { ...headers, ...refusalHeaders(refusal) }, refusalBody(refusal))
    return refusal
  }
  if (!(error instanceof SavepointError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log('error', 'upgrade_failed', { request: asker.request, error: stack })
  }
  const told =
    error instanceof SavepointError
      ? error
      : new SavepointError('internal', 'The gateway failed at this request; its log says more.')
  const status = statusOf(told.code)
  if (!socket.destroyed) writeAnswer(socket, status, { ...headers, ...errorHeaders(told) }, errorBody(told))
  return { status, code: told.code }
}
