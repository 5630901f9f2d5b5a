/**
 * The HTTP server of a gateway: routes, errors, limits of connections, and the way to WebSockets.
 *
 * A request passes, in this order: the base URL and a token in the path are taken off its URL; the gate, which knows
 * hosts, origins, tokens and scopes; its body, which is JSON whatever it calls itself; the route's schema; the route.
 */

import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, BlockList, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureContextOptions } from 'node:tls'
import fastify, { type FastifyReply } from 'fastify'
import type { WebSocketServer } from 'ws'
import type { Clock } from '../clock.js'
import { SavepointError } from '../errors.js'
import type { Log } from '../log.js'
import type { Observe } from '../observe.js'
import { guardRoutes, routeUrl } from './access.js'
import { nameAskers, tellOfRequests } from './asker.js'
import type { Gate } from './auth/gate.js'
import { SECURITY_HEADERS } from './auth/headers.js'
import type { OriginRules } from './auth/origin.js'
import { redactUrl } from './auth/redact.js'
import { takeBodies } from './body.js'
import { answerErrors, errorBody } from './http-errors.js'
import type { KernelSpecs } from './kernelspecs.js'
import type { Metrics } from './metrics.js'
import { describeApi, descriptionRoutes } from './openapi.js'
import type { Channels, Connections, GatewayKernels, PoolView } from './ports.js'
import { generalRoutes } from './routes/general.js'
import { connectionRoutes, kernelRoutes } from './routes/kernels.js'
import { kernelSpecRoutes } from './routes/kernelspecs.js'
import type { App, RouteParts } from './routes/route.js'
import { sessionRoutes } from './routes/sessions.js'
import { Sessions, type SessionsFile } from './sessions.js'
import { upgradeHandler } from './upgrade.js'
import { writeAnswer } from './write-answer.js'

export interface TlsFiles {
  readonly certfile: string
  readonly keyfile: string
  /** Clients must show a certificate that one of these signed; null: none is asked for. */
  readonly clientCa: string | null
}

export interface GatewayLimits {
  readonly bodyBytesMax: number
  /** From the first byte of a request: until its headers, until all of it must be there. */
  readonly headersMs: number
  readonly requestMs: number
  /** How long an idle connection is kept for the next request. */
  readonly keepAliveMs: number
  /** Connections of one address at a time; 0: any number. */
  readonly connectionsPerAddressMax: number
}

export interface GatewayParts {
  /** Begins and ends with a slash. */
  readonly baseUrl: string
  readonly version: string
  readonly kernels: GatewayKernels
  readonly specs: KernelSpecs
  readonly channels: Channels
  /** null: kernels have no ZeroMQ channels here. */
  readonly connections: Connections | null
  readonly pool: PoolView
  readonly gate: Gate
  readonly origins: OriginRules
  /** Whose word on where a request comes from is believed. */
  readonly proxies: BlockList
  readonly webSockets: WebSocketServer
  readonly tls: TlsFiles | null
  readonly clock: Clock
  readonly log: Log
  readonly observe: Observe
  readonly metrics: Metrics
  readonly limits: GatewayLimits
  /** Where sessions are kept; null: nowhere. */
  readonly sessionsFile: SessionsFile | null
  /** Routes of further parts. */
  readonly more: readonly ((app: App, parts: RouteParts) => void)[]
}

export interface Gateway {
  /** For tests: `inject`. */
  readonly app: App
  /** Binds; the address that clients can use. Throws PORT_IN_USE. */
  listen(ip: string, port: number): Promise<string>
  /** Reads the TLS files again; connections that are open stay as they are. */
  reloadTls(): void
  /** Takes no more requests, and resolves when all connections have ended; WebSockets have a moment to do so. */
  close(): Promise<void>
}

const PARAM_CHARS_MAX = 512
/** For WebSockets that were told to close. */
const CLOSING_MS = 1_000

export async function createGateway(given: GatewayParts): Promise<Gateway> {
  const { kernels, limits, log, clock, baseUrl } = given
  const parts: RouteParts = { ...given, started: clock.date(), sessions: new Sessions(kernels, given.sessionsFile) }
  given.metrics.lookAt(parts)
  const app = newApp(given)
  app.setErrorHandler(answerErrors(log))
  app.setNotFoundHandler((request, reply) => {
    const told = new SavepointError(
      'not_found',
      `There is no route ${request.method} ${redactUrl(pathOf(request.url))} here.`,
    )
    request.failure = told.code
    return reply.code(404).send(errorBody(told))
  })
  nameAskers(app, given.proxies, given.observe)
  tellOfRequests(app, given.observe)
  guardRoutes(app, given.gate, given.origins)
  takeBodies(app)
  await describeApi(app, parts)
  app.register((inner, _options, done) => {
    const routes = inner as App
    generalRoutes(routes, parts)
    kernelRoutes(routes, parts)
    if (given.connections !== null) connectionRoutes(routes, parts, given.connections)
    kernelSpecRoutes(routes, parts)
    sessionRoutes(routes, parts)
    descriptionRoutes(routes)
    for (const add of given.more) add(routes, parts)
    // What is allowed stands in the headers, which the gate has set.
    routes.options('*', { schema: { hide: true }, handler: (_request, reply) => reply.code(204).send() })
    done()
  })
  await app.ready()
  const { server } = app
  server.headersTimeout = limits.headersMs
  const upgraded = new Set<Duplex>()
  const onUpgrade = upgradeHandler(parts, given.webSockets)
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgraded.add(socket)
    socket.once('close', () => upgraded.delete(socket))
    onUpgrade(request, socket, head)
  })
  server.on('connection', limitConnections(limits.connectionsPerAddressMax, log))
  return {
    app,
    async listen(ip, port) {
      try {
        await app.listen({ host: ip, port, backlog: 4_096 })
      } catch (error) {
        throw cannotListen(error, ip, port)
      }
      const { port: bound } = server.address() as AddressInfo
      return `${given.tls === null ? 'http' : 'https'}://${hostFor(ip)}:${bound}${baseUrl === '/' ? '' : baseUrl.slice(0, -1)}`
    },
    reloadTls() {
      if (given.tls !== null && 'setSecureContext' in server) {
        ;(server as unknown as { setSecureContext(options: SecureContextOptions): void }).setSecureContext(
          tlsOptions(given.tls),
        )
      }
    },
    async close() {
      // A client that does not read would keep its WebSocket open, and the server with it.
      const cancel = clock.after(CLOSING_MS, () => upgraded.forEach((socket) => socket.destroy()))
      await app.close()
      cancel()
    },
  }
}

function newApp({ baseUrl, limits, tls }: GatewayParts): App {
  const http = { connectionsCheckingInterval: Math.min(5_000, limits.headersMs) }
  const options = {
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    clientErrorHandler: answerNonsense,
    forceCloseConnections: true,
    exposeHeadRoutes: true,
    routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, maxParamLength: PARAM_CHARS_MAX },
    // A path that cannot be decoded does not come as far as the hooks.
    frameworkErrors: (_error: unknown, _request: unknown, reply: FastifyReply) => {
      const told = new SavepointError('bad_request', 'The path of the request cannot be decoded.')
      void reply.code(400).headers(SECURITY_HEADERS).send(errorBody(told))
    },
    rewriteUrl: (request: IncomingMessage) => routeUrl(request, baseUrl),
    // Nothing is changed in what a client sent: a number is no string, and unknown keys stay where they are.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
  } as const
  const app =
    tls === null ? fastify({ ...options, http }) : fastify({ ...options, https: { ...http, ...tlsOptions(tls) } })
  // Schemas of answers describe; what is sent is sent whole.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  return app as unknown as App
}

function tlsOptions({ certfile, keyfile, clientCa }: TlsFiles): SecureContextOptions & { requestCert?: boolean } {
  const mutual = clientCa === null ? {} : { ca: readFileSync(clientCa), requestCert: true, rejectUnauthorized: true }
  return { cert: readFileSync(certfile), key: readFileSync(keyfile), minVersion: 'TLSv1.2', ...mutual }
}

/** What is no HTTP, comes too slowly, or has headers beyond all measure. */
function answerNonsense(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [code, status, message] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? (['timeout', 408, 'The request did not come in time.'] as const)
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? (['too_large', 431, 'The headers of the request are larger than allowed.'] as const)
        : (['bad_request', 400, 'This is no HTTP request.'] as const)
  writeAnswer(socket, status, {}, errorBody(new SavepointError(code, message), status))
}

/** One address must not take all that there are. */
function limitConnections(max: number, log: Log): (socket: Socket) => void {
  const open = new Map<string, number>()
  return (socket) => {
    if (max === 0) return
    const address = socket.remoteAddress ?? ''
    const count = (open.get(address) ?? 0) + 1
    if (count > max) {
      log('warn', 'connection_refused', { address, open: count - 1 })
      socket.destroy()
      return
    }
    open.set(address, count)
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1
      if (left === 0) open.delete(address)
      else open.set(address, left)
    })
  }
}

function cannotListen(error: unknown, ip: string, port: number): SavepointError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  const why: Readonly<Record<string, string>> = {
    EADDRINUSE: `Port ${port} of ${ip} is in use. Choose another one (--port), or any free one (--port 0).`,
    EACCES: `Port ${port} of ${ip} needs rights that this user does not have. Choose one above 1023 (--port).`,
    EADDRNOTAVAIL: `This machine does not have the address ${ip} (--ip).`,
    ENOTFOUND: `There is no host ${ip} (--ip).`,
  }
  return new SavepointError('PORT_IN_USE', why[code] ?? `${ip} port ${port} cannot be bound: ${code}.`, { ip, port })
}

/** How a client on this machine writes it: a wildcard is no address to call. */
function hostFor(ip: string): string {
  if (ip === '0.0.0.0' || ip === '::' || ip === '') return '127.0.0.1'
  return ip.includes(':') ? `[${ip}]` : ip
}

function pathOf(url: string): string {
  return (url.split('?', 1)[0] ?? '').slice(0, 200)
}
