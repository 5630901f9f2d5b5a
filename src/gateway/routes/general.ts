/** What is asked of the gateway itself. */

import Type from 'typebox'
import { SavepointError } from '../../errors.js'
import { may, owns, type Principal, type Resource } from '../auth/principal.js'
import type { GatewayKernel } from '../ports.js'
import { text } from '../schemas.js'
import { answers, type App, type RouteParts } from './route.js'

const tags = ['gateway']
/** Clients look at it to know what they may send. */
const JUPYTER_SERVER_VERSION = '2.21.1'

export function generalRoutes(app: App, parts: RouteParts): void {
  const { kernels, version, started, metrics, pool } = parts
  const visible = (principal: Principal): GatewayKernel[] =>
    kernels.list().filter((kernel) => owns(principal, kernel.owner))

  app.get('/api', {
    schema: {
      tags,
      summary: 'Versions; needs no token',
      response: answers({ 200: Type.Object({ version: text, gateway_version: text, savepoint_version: text }) }),
    },
    handler: (_request, reply) =>
      reply.send({ version: JUPYTER_SERVER_VERSION, gateway_version: version, savepoint_version: version }),
  })

  app.get('/api/status', {
    schema: {
      tags,
      summary: 'How busy it is',
      response: answers({
        200: Type.Object({ started: text, last_activity: text, kernels: Type.Integer(), connections: Type.Integer() }),
      }),
    },
    handler: ({ principal }, reply) => {
      const all = visible(principal).map(({ status }) => status)
      const latest = all.reduce((last, each) => (each.last_activity > last ? each.last_activity : last), '')
      return reply.send({
        started: started.toISOString(),
        last_activity: latest || started.toISOString(),
        kernels: all.length,
        connections: all.reduce((sum, { connections }) => sum + connections, 0),
      })
    },
  })

  app.get('/api/me', {
    schema: { tags, summary: 'Who the token stands for, and what it allows' },
    handler: ({ query, principal }, reply) => {
      const { subject } = principal
      return reply.send({
        identity: {
          username: subject,
          name: subject,
          display_name: subject,
          initials: subject.slice(0, 1).toUpperCase(),
          avatar_url: null,
          color: null,
        },
        permissions: {
          ...permissions((query as { permissions?: unknown }).permissions, principal),
          updatable_fields: [],
        },
      })
    },
  })

  app.get('/metrics', {
    schema: { tags, summary: 'For Prometheus' },
    handler: async (_request, reply) =>
      await reply.header('content-type', metrics.contentType).send(await metrics.text()),
  })

  app.get('/healthz', {
    schema: { tags, summary: 'Whether it lives; needs no token' },
    handler: (_request, reply) => reply.send({ status: 'ok' }),
  })

  for (const url of ['/readyz', '/api/savepoint/ready']) {
    app.get(url, {
      schema: { tags, summary: 'Whether a kernel can be had without waiting', response: answers({}, 503) },
      handler: (_request, reply) => {
        if (kernels.returning > 0) {
          throw new SavepointError(
            'starting',
            'Kernels of an earlier gateway are being taken up. Ask again in a moment.',
            {
              retry_after_s: 1,
            },
          )
        }
        if (pool.isReady()) return reply.send({ status: 'ready' })
        throw new SavepointError('starting', 'The first workers are being prepared. Ask again in a moment.', {
          retry_after_s: 1,
        })
      },
    })
  }

  app.get('/api/savepoint/pool', {
    schema: { tags, summary: 'Workers of the pool' },
    handler: (_request, reply) => reply.send(pool.facts()),
  })
}

/** Of what the client asks about, as jupyter_server answers it. Throws `bad_request`. */
function permissions(asked: unknown, principal: Principal): Record<string, string[]> {
  if (asked === undefined || asked === '') return {}
  const bad = new SavepointError('bad_request', 'permissions should be a JSON dict of {"resource": ["action",]}')
  const wanted = parsed(asked)
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted)) throw bad
  const allowed = Object.entries(wanted).map(([resource, actions]): [string, string[]] => {
    if (!Array.isArray(actions) || !actions.every((action) => typeof action === 'string')) throw bad
    return [resource, actions.filter((action) => may(principal, resource as Resource, action as 'read'))]
  })
  return Object.fromEntries(allowed)
}

function parsed(text: unknown): unknown {
  try {
    return JSON.parse(String(text))
  } catch {
    return null
  }
}
