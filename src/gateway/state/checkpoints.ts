/**
 * Checkpoints over HTTP: made and restored by a kernel, in its turn; listed, looked at, checked and deleted without one.
 *
 * A checkpoint belongs to whoever owned its kernel. Those of others are not there, but for tokens with the scope
 * `admin`.
 */

import { SavepointError } from '../../errors.js'
import { kernelFor } from '../access.js'
import type { Principal } from '../auth/principal.js'
import { answers, type App, type RouteParts } from '../routes/route.js'
import { askKernel, CHECKPOINTS, opCallsOf } from './ask.js'
import type { CheckpointRecord, CheckpointStore } from './ports.js'
import {
  checkpoint,
  checkpointOp,
  checkpointParams,
  kernelParams,
  listOf,
  listQuery,
  restoreBody,
  result,
  validity,
  waitQuery,
} from './schemas.js'

const tags = ['checkpoints']
const refusals = [400, 403, 404, 409, 410, 422, 429] as const
const LIMIT = 100

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

/** `/api/savepoint/checkpoints`: those of all kernels. */
export function checkpointRoutes(app: App, store: CheckpointStore): void {
  /** Throws `unknown_checkpoint`, also for one of somebody else. */
  const find = async (id: string, principal: Principal): Promise<CheckpointRecord> => {
    const record = await store.get(id, readableBy(principal))
    if (record !== null) return record
    throw new SavepointError('unknown_checkpoint', 'There is no checkpoint of this id.', {
      checkpoint: id.slice(0, 100),
    })
  }

  app.get('/api/savepoint/checkpoints', {
    schema: {
      tags,
      summary: 'All checkpoints, newest first',
      querystring: listQuery,
      response: answers({ 200: listOf(checkpoint) }, 400),
    },
    handler: async ({ query, principal }, reply) => {
      const kernelId = query.kernel_id ?? null
      const { items, total_count } = await store.list({
        ...listOptions(query),
        owner: readableBy(principal),
        kernelId,
      })
      return await reply.send({ items, total_count })
    },
  })

  app.get('/api/savepoint/checkpoints/:cp', {
    schema: { tags, summary: 'One checkpoint', params: checkpointParams, response: answers({ 200: checkpoint }, 404) },
    handler: async ({ params, principal }, reply) => await reply.send(await find(params.cp, principal)),
  })

  app.get('/api/savepoint/checkpoints/:cp/validate', {
    schema: {
      tags,
      summary: 'Read it to its end, and check its signature',
      params: checkpointParams,
      response: answers({ 200: validity }, 404),
    },
    handler: async ({ params, principal }, reply) => {
      const { checkpoint_id } = await find(params.cp, principal)
      return await reply.send(await validate(store, checkpoint_id))
    },
  })

  app.delete('/api/savepoint/checkpoints/:cp', {
    schema: { tags, summary: 'Delete it', params: checkpointParams, response: answers({ 204: null }, 404) },
    handler: async ({ params, principal }, reply) => {
      await store.remove((await find(params.cp, principal)).checkpoint_id)
      return await reply.code(204).send()
    },
  })
}

/** Whose checkpoints it may read; null: everybody's. */
function readableBy({ scopes, subject }: Principal): string | null {
  return scopes.has('admin') ? null : subject
}

const DAMAGED: readonly string[] = ['damaged_checkpoint', 'foreign_checkpoint', 'format_unsupported']

async function validate(store: CheckpointStore, id: string): Promise<object> {
  try {
    await store.verify(id)
    return { valid: true, damaged: [] }
  } catch (error) {
    if (!(error instanceof SavepointError && DAMAGED.includes(error.code))) throw error
    const { code, message, details } = error
    return { valid: false, damaged: [{ code, message, details }] }
  }
}

function listOptions(query: { branch?: string; limit?: string; before?: string }) {
  const limit = query.limit === undefined ? LIMIT : Number(query.limit)
  if (!Number.isInteger(limit) || limit < 1) {
    throw new SavepointError('bad_request', 'limit must be a whole number above 0.', { limit: query.limit })
  }
  return { branch: query.branch ?? null, before: query.before ?? null, limit }
}
