/** Checkpoints of one kernel over HTTP: made and restored by it, in its turn; listed without it. */

import { SavepointError } from '../../errors.js'
import { kernelFor } from '../access.js'
import { answers, type App, type RouteParts } from '../routes/route.js'
import { askKernel, CHECKPOINTS, opCallsOf } from './ask.js'
import { listOptions } from './list-options.js'
import type { CheckpointStore } from './ports.js'
import { checkpoint, checkpointOp, kernelParams, listOf, listQuery, restoreBody, result, waitQuery } from './schemas.js'

const tags = ['checkpoints']
const refusals = [400, 403, 404, 409, 410, 422, 429] as const
/** What a kernel answers with bytes, which have routes of their own. */
const FILES: Readonly<Record<string, string>> = {
  export: 'GET /api/savepoint/checkpoints/{cp}/data',
  import: 'POST /api/savepoint/checkpoints/import',
}

export function kernelCheckpointRoutes(app: App, { kernels }: RouteParts, store: CheckpointStore): void {
  const callOf = opCallsOf(kernels)

  app.get('/api/kernels/:id/checkpoints', {
    schema: {
      tags,
      summary: 'Checkpoints of a kernel, newest first',
      params: kernelParams,
      querystring: listQuery,
      response: answers({ 200: listOf(checkpoint) }, 404),
    },
    handler: async ({ params, query, principal }, reply) => {
      const { id, owner } = kernelFor(kernels, params.id, principal)
      const { items, total_count } = await store.list({ ...listOptions(query), owner, kernelId: id })
      return await reply.send({ items, total_count, head: items[0]?.checkpoint_id ?? null })
    },
  })

  app.post('/api/kernels/:id/checkpoints', {
    schema: {
      tags,
      summary: 'Make a checkpoint, or another op',
      params: kernelParams,
      querystring: waitQuery,
      body: checkpointOp,
      response: answers({ 200: result, 201: checkpoint }, ...refusals),
    },
    handler: async (request, reply) => {
      const op = request.body['op'] ?? 'create'
      const route = typeof op === 'string' && Object.hasOwn(FILES, op) ? FILES[op] : undefined
      if (route !== undefined) throw new SavepointError('unknown_op', `Files have a route of their own: ${route}.`)
      const told = await askKernel(callOf(request, reply), CHECKPOINTS, { ...request.body, op })
      return await reply.code(op === 'create' ? 201 : 200).send(told)
    },
  })

  app.post('/api/kernels/:id/restore', {
    schema: {
      tags,
      summary: 'Load a checkpoint into a kernel',
      params: kernelParams,
      querystring: waitQuery,
      body: restoreBody,
      response: answers({ 200: result }, ...refusals),
    },
    handler: async (request, reply) => {
      const data = { ...request.body, op: 'restore' }
      return await reply.send(await askKernel(callOf(request, reply), CHECKPOINTS, data))
    },
  })
}
