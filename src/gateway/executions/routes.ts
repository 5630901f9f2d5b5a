/** Running code over HTTP: executions of a kernel, and runs in a kernel of their own. */

import { kernelFor } from '../access.js'
import type { Principal } from '../auth/principal.js'
import { hungUpSignal } from '../hung-up.js'
import { answers, type App, type RouteParts } from '../routes/route.js'
import { waitMsOf } from '../wait.js'
import { lastEventId, streamEvents } from './event-stream.js'
import { isOver } from './execution.js'
import type { Executions } from './executions.js'
import type { Run } from './kernel-runs.js'
import type { ExecutionLimits } from './limits.js'
import type { OneShots } from './one-shots.js'
import { runRequestOf } from './request.js'
import {
  executeBody,
  executionList,
  executionModel,
  executionParams,
  inputBody,
  kernelParams,
  outputList,
  runBody,
  waitQuery,
} from './schemas.js'

export interface ExecutionParts {
  readonly executions: Executions
  readonly oneShots: OneShots
  readonly limits: ExecutionLimits
}

const tags = ['executions']

/** Adds the routes below `/api/kernels/{id}/executions`. */
export function executionRoutes(app: App, { kernels, clock, gate }: RouteParts, parts: ExecutionParts): void {
  const { executions, limits } = parts

  app.post('/api/kernels/:id/executions', {
    schema: {
      tags,
      summary: 'Run code: 200 once it has ended, 202 if that was not waited for',
      params: kernelParams,
      querystring: waitQuery,
      body: runBody,
      response: answers({ 200: executionModel, 202: executionModel }, 400, 404, 409, 410, 429),
    },
    handler: async ({ params, query, body, principal }, reply) => {
      const waitMs = waitMsOf(query.wait_s, limits.waitS, limits.waitSMax)
      const kernel = kernelFor(kernels, params.id, principal)
      const execution = executions.start(kernel, principal.subject, runRequestOf(body, true))
      await executions.wait(execution, waitMs)
      return await reply.code(isOver(execution) ? 200 : 202).send(executions.model(execution))
    },
  })

  app.get('/api/kernels/:id/executions', {
    schema: {
      tags,
      summary: 'Executions of a kernel, without their output',
      params: kernelParams,
      response: answers({ 200: executionList }, 404),
    },
    handler: ({ params, principal }, reply) => {
      const items = executions.list(kernelFor(kernels, params.id, principal).id)
      return reply.send({ items, total_count: items.length })
    },
  })

  app.get('/api/kernels/:id/executions/:eid', {
    schema: {
      tags,
      summary: 'One execution; with `wait_s` once it has ended, or after that time',
      params: executionParams,
      querystring: waitQuery,
      response: answers({ 200: executionModel }, 400, 404),
    },
    handler: async ({ params, query, principal }, reply) => {
      const { execution } = find(params, principal)
      await executions.wait(execution, waitMsOf(query.wait_s, 0, limits.waitSMax))
      return await reply.send(executions.model(execution))
    },
  })

  app.delete('/api/kernels/:id/executions/:eid', {
    schema: {
      tags,
      summary: 'Take an execution back; one that runs is interrupted',
      params: executionParams,
      response: answers({ 204: null }, 404),
    },
    handler: ({ params, principal }, reply) => {
      const { execution } = find(params, principal)
      executions.cancel(execution.kernelId, execution.id)
      return reply.code(204).send()
    },
  })

  app.get('/api/kernels/:id/executions/:eid/outputs', {
    schema: {
      tags,
      summary: 'Its outputs until now, as in a notebook',
      params: executionParams,
      response: answers({ 200: outputList }, 404),
    },
    handler: ({ params, principal }, reply) => reply.send(find(params, principal).execution.outputs.list),
  })

  app.get('/api/kernels/:id/executions/:eid/events', {
    schema: {
      tags,
      summary: 'What happens in it, as server-sent events; `Last-Event-ID` says where to go on',
      params: executionParams,
      response: answers({}, 404),
    },
    handler: (request, reply) => {
      const found = find(request.params, request.principal)
      const headers = Object.entries(reply.getHeaders())
      for (const [name, value] of headers) if (value !== undefined) reply.raw.setHeader(name, value)
      reply.hijack()
      reply.raw.writeHead(200, EVENT_STREAM)
      // It may last as long as the cell; the token that opened it may not.
      reply.raw.on(
        'close',
        gate.watch(request.principal, () => reply.raw.end()),
      )
      const model = (): unknown => executions.model(found.execution)
      streamEvents(reply.raw, found, lastEventId(request.headers['last-event-id']), { clock, limits, model })
    },
  })

  app.post('/api/kernels/:id/executions/:eid/input', {
    schema: {
      tags,
      summary: 'Answer what input() asks',
      params: executionParams,
      body: inputBody,
      response: answers({ 204: null }, 400, 404, 409),
    },
    handler: ({ params, body, principal }, reply) => {
      const { execution } = find(params, principal)
      executions.answer(execution.kernelId, execution.id, body.value)
      return reply.code(204).send()
    },
  })

  /** Throws `unknown_kernel` or `unknown_execution`. */
  function find(params: { readonly id: string; readonly eid: string }, principal: Principal): Run {
    return executions.get(kernelFor(kernels, params.id, principal).id, params.eid)
  }
}

/** Adds `POST /api/execute`. */
export function executeRoute(app: App, { specs }: RouteParts, { oneShots }: ExecutionParts): void {
  app.post('/api/execute', {
    schema: {
      tags,
      summary: 'Run code in a kernel of its own, or in that of a session',
      body: executeBody,
      response: answers({ 200: executionModel }, 400, 404, 409, 429, 504),
    },
    handler: async ({ body, principal }, reply) => {
      const model = await oneShots.run({
        kernelName: body.kernel_name ?? specs.defaultName,
        owner: principal.subject,
        affinity: body.session ?? null,
        run: runRequestOf(body, false, ['kernel_name', 'session']),
        signal: hungUpSignal(reply),
      })
      return await reply.send(model)
    },
  })
}

const EVENT_STREAM = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // Proxies that hold answers back would hold these back for ever.
  'x-accel-buffering': 'no',
}
