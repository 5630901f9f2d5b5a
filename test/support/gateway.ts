/** A gateway for a test: everything real but its kernels. */

import { request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import { systemClock } from '../../src/clock.js'
import { places } from '../../src/config.js'
import { createGate, type KeySource } from '../../src/gateway/auth/gate.js'
import { trustedProxies } from '../../src/gateway/auth/address.js'
import type { AuthRules } from '../../src/gateway/auth/judge.js'
import { createChannels } from '../../src/gateway/channels/channels.js'
import { createWebSocketServer } from '../../src/gateway/channels/server.js'
import { KernelSpecs, type OfferedSpec } from '../../src/gateway/kernelspecs.js'
import { createGateway, type Gateway, type GatewayLimits, type GatewayParts } from '../../src/gateway/server.js'
import { createMetrics, type Metrics } from '../../src/gateway/metrics.js'
import { silentLog } from '../../src/log.js'
import type { GatewayKernels } from '../../src/gateway/ports.js'
import { FakeKernels } from '../fakes/kernels.js'

export const TOKEN = 'a-token-for-tests'
export const WITH_TOKEN = { authorization: `token ${TOKEN}` }

type Offered = GatewayKernels & { readonly specs: readonly string[] }

export interface TestGateway<K extends Offered = FakeKernels> extends Gateway {
  readonly metrics: Metrics
  readonly kernels: K
  /** Where it listens. */
  readonly url: string
  /** Any request, as it is given. */
  send(request: Sent): Promise<Answer>
  /** A request with the token; the body, if any, as JSON. */
  ask(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, body?: object): Promise<Answer>
}

export interface Sent {
  readonly method?: string
  /** Path and query, or what stands for them. */
  readonly url: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Parsed if it is JSON. */
  readonly body: any // oxlint-disable-line typescript/no-explicit-any -- a test looks into it as it likes
  readonly text: string
}

export interface GatewayOverrides<K extends Offered = FakeKernels> extends Partial<
  Omit<GatewayParts, 'limits' | 'kernels'>
> {
  readonly kernels?: K
  readonly limits?: Partial<GatewayLimits>
  readonly keys?: KeySource
  readonly rules?: Partial<AuthRules>
  /** Where to listen; one that is free unless it is given. */
  readonly port?: number
}

export const NO_KEYS: KeySource = { keys: () => [], revoked: () => false }

/** Close it in the end. */
export async function testGateway<K extends Offered = FakeKernels>({
  limits,
  keys = NO_KEYS,
  rules: given,
  port: wanted = 0,
  ...rest
}: GatewayOverrides<K> = {}): Promise<TestGateway<K>> {
  const kernels = rest.kernels ?? (new FakeKernels(['python3', 'python', 'savepoint']) as Offered as K)
  const origins = rest.origins ?? { origins: [], loopback: true, hosts: [] }
  const baseUrl = rest.baseUrl ?? '/'
  const rules = { ...origins, proxies: trustedProxies([]), issuer: null, audience: null, ...given }
  const gate = createGate({ token: TOKEN, rules, requestsPerMinute: null }, keys, systemClock, rest.log ?? silentLog)
  const metrics = createMetrics()
  const gateway = await createGateway({
    version: '0.0.0',
    specs: new KernelSpecs(kernels.specs.map(specOf), baseUrl),
    channels: createChannels({ log: rest.log ?? silentLog, gate }),
    connections: null,
    pool: { isReady: () => true, facts: () => ({ items: [], total_count: 0 }), counts: () => ({ ready: 1 }) },
    webSockets: createWebSocketServer(1_048_576),
    gate,
    origins,
    tls: null,
    clock: systemClock,
    log: silentLog,
    observe: metrics.observe,
    metrics,
    proxies: rules.proxies,
    more: [],
    sessionsFile: null,
    ...rest,
    baseUrl,
    kernels,
    limits: {
      bodyBytesMax: 65_536,
      headersMs: 10_000,
      requestMs: 20_000,
      keepAliveMs: 5_000,
      connectionsPerAddressMax: 0,
      ...limits,
    },
  })
  const url = await gateway.listen('127.0.0.1', wanted).catch(async (error: unknown) => {
    await gateway.close()
    throw error
  })
  const { port } = new URL(url)
  const send = (sent: Sent): Promise<Answer> => exchange(Number(port), sent)
  return {
    ...gateway,
    metrics,
    kernels,
    url,
    send,
    ask(method, path, body) {
      const json = body === undefined ? {} : { body: JSON.stringify(body) }
      return send({ method, url: path, headers: WITH_TOKEN, ...json })
    },
  }
}

function exchange(port: number, { method = 'GET', url, headers = {}, body }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, method, path: url, headers, agent: false }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: parsed(text), text })
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

function specOf(name: string): OfferedSpec {
  return { name, spec: { argv: ['savepoint'], display_name: name, language: 'python' }, folder: places.kernelspec }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
