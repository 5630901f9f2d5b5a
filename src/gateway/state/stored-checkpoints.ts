/**
 * `/api/savepoint/checkpoints`: those of all kernels, without one: listed, looked at, checked, compared and deleted.
 *
 * A checkpoint belongs to whoever owned its kernel. Those of others are not there, but for tokens with the scope
 * `admin`.
 */

import { SavepointError } from '../../errors.js'
import { owns, type Principal } from '../auth/principal.js'
import { answers, type App, type RouteParts } from '../routes/route.js'
import { askKernel, CHECKPOINTS, opCallsOf } from './ask.js'
import { listOptions } from './list-options.js'
import type { CheckpointRecord, CheckpointStore } from './ports.js'
import { checkpoint, checkpointParams, diffQuery, listOf, listQuery, result, validity } from './schemas.js'

const tags = ['checkpoints']

/** Finds the checkpoint that a request means. Throws `unknown_checkpoint`, also for one of somebody else. */
export type Find = (idOrName: string, principal: Principal) => Promise<CheckpointRecord>

export function finderOf(store: CheckpointStore): Find {
  return async (idOrName, principal) => {
    const record = await store.get(idOrName, readableBy(principal))
    if (record !== null) return record
    throw new SavepointError('unknown_checkpoint', 'There is no checkpoint of this id or name.', {
      checkpoint: idOrName.slice(0, 100),
    })
  }
}

export function checkpointRoutes(app: App, { kernels }: RouteParts, store: CheckpointStore): void {
  const find = finderOf(store)
  const callOf = opCallsOf(kernels)

  app.get('/api/savepoint/checkpoints', {
    schema: {
      tags,
      summary: 'All checkpoints, newest first',
      querystring: listQuery,
      response: answers({ 200: listOf(checkpoint) }, 400),
    },
    handler: async ({ query, principal }, reply) => {
      const owner = readableBy(principal)
      const wanted = { ...listOptions(query), owner, kernelId: query.kernel_id ?? null }
      const { items, total_count } = await store.list(wanted)
      return await reply.send({ items, total_count })
    },
  })

  app.get('/api/savepoint/checkpoints/:cp', {
    schema: {
      tags,
      summary: 'One checkpoint, and what became of each of its objects',
      params: checkpointParams,
      response: answers({ 200: checkpoint }, 403, 404, 422),
    },
    handler: async ({ params, principal }, reply) => {
      const { checkpoint_id } = await find(params.cp, principal)
      return await reply.send(await store.describe(checkpoint_id))
    },
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
      return await reply.send(await store.validate(checkpoint_id))
    },
  })

  app.get('/api/savepoint/checkpoints/:cp/diff', {
    schema: {
      tags,
      summary: 'What another one, or the present, has that it has not, and the other way round',
      params: checkpointParams,
      querystring: diffQuery,
      response: answers({ 200: result }, 403, 404, 409, 422),
    },
    handler: async (request, reply) => {
      const { params, query, principal } = request
      const from = await find(params.cp, principal)
      if (query.to !== undefined) {
        const to = await find(query.to, principal)
        return await reply.send(await store.diff(from.checkpoint_id, to.checkpoint_id))
      }
      const id = livingKernelOf(from, principal)
      const call = callOf({ ...request, params: { id }, query, principal }, reply)
      const data = { op: 'diff', from: from.checkpoint_id, to: null }
      return await reply.send(await askKernel(call, CHECKPOINTS, data))
    },
  })

  app.delete('/api/savepoint/checkpoints/:cp', {
    schema: { tags, summary: 'Delete it', params: checkpointParams, response: answers({ 204: null }, 404) },
    handler: async ({ params, principal }, reply) => {
      await store.remove((await find(params.cp, principal)).checkpoint_id)
      return await reply.code(204).send()
    },
  })

  /** The kernel whose present is meant. Throws `unknown_kernel`. */
  function livingKernelOf({ kernel_id }: CheckpointRecord, principal: Principal): string {
    const kernel = kernel_id === undefined ? undefined : kernels.find(kernel_id)
    if (kernel !== undefined && owns(principal, kernel.owner)) return kernel.id
    const message = 'The kernel of this checkpoint is gone, so it has no present. Name another checkpoint with ?to=.'
    throw new SavepointError('unknown_kernel', message, { kernel_id })
  }
}

/** Whose checkpoints it may read; null: everybody's. */
function readableBy({ scopes, subject }: Principal): string | null {
  return scopes.has('admin') ? null : subject
}
