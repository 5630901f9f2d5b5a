/** What all routes share. */

import type { FastifyInstance, FastifyTypeProvider } from 'fastify'
import type { FastifyBaseLogger, RawServerDefault } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BlockList } from 'node:net'
import Type, { type Static, type TSchema } from 'typebox'
import type { Clock } from '../../clock.js'
import type { Log } from '../../log.js'
import type { Observe } from '../../observe.js'
import type { KernelSpecs } from '../kernelspecs.js'
import type { Metrics } from '../metrics.js'
import type { Gate } from '../auth/gate.js'
import type { Channels, GatewayKernels, PoolView } from '../ports.js'
import { errorSchema } from '../schemas.js'
import type { Sessions } from '../sessions.js'

/** Handlers get the types of the schemas that validate. */
interface Typed extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: unknown
}

export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, Typed>

/** What a route can use. */
export interface RouteParts {
  /** Begins and ends with a slash. */
  readonly baseUrl: string
  readonly version: string
  readonly kernels: GatewayKernels
  readonly specs: KernelSpecs
  readonly sessions: Sessions
  readonly channels: Channels
  readonly pool: PoolView
  readonly gate: Gate
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
  readonly observe: Observe
  readonly proxies: BlockList
  readonly started: Date
}

/** Answers of a route in the API's description: what it returns, and the refusals that it is known for. */
export function answers(
  good: Readonly<Record<number, TSchema | null>>,
  ...refusals: readonly number[]
): Record<number, TSchema> {
  const nothing = Type.Null({ description: 'Nothing' })
  return Object.fromEntries([
    ...Object.entries(good).map(([status, schema]) => [status, schema ?? nothing]),
    ...refusals.map((status) => [status, errorSchema]),
  ]) as Record<number, TSchema>
}
