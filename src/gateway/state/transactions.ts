/** `/api/kernels/{id}/transactions`: the kernel's open transactions, and ops on them. */

import { SavepointError } from '../../errors.js'
import { answers, type App, type RouteParts } from '../routes/route.js'
import { askKernel, TRANSACTIONS, opCallsOf, type OpCall } from './ask.js'
import {
  kernelParams,
  listOf,
  result,
  rollbackBody,
  savepointBody,
  transaction,
  transactionOp,
  transactionParams,
  waitQuery,
} from './schemas.js'

const tags = ['transactions']
const refusals = [400, 404, 409, 410, 422, 429] as const

export function transactionRoutes(app: App, { kernels }: RouteParts): void {
  const all = { tags, params: kernelParams, querystring: waitQuery }
  const one = { tags, params: transactionParams, querystring: waitQuery }
  const callOf = opCallsOf(kernels)
  const openOf = async (call: OpCall): Promise<readonly Record<string, unknown>[]> => {
    const { transactions } = await askKernel(call, TRANSACTIONS, { op: 'status' })
    return transactions as readonly Record<string, unknown>[]
  }

  app.get('/api/kernels/:id/transactions', {
    schema: {
      ...all,
      summary: 'Open transactions, outermost first',
      response: answers({ 200: listOf(transaction) }, 404, 409),
    },
    handler: async (request, reply) => {
      const items = await openOf(callOf(request, reply))
      return await reply.send({ items, total_count: items.length })
    },
  })

  app.post('/api/kernels/:id/transactions', {
    schema: {
      ...all,
      summary: 'Begin a transaction, or another op',
      body: transactionOp,
      response: answers({ 200: result, 201: transaction }, ...refusals),
    },
    handler: async (request, reply) => {
      const op = request.body['op'] ?? 'begin'
      const told = await askKernel(callOf(request, reply), TRANSACTIONS, { ...request.body, op })
      return await reply.code(op === 'begin' ? 201 : 200).send(told)
    },
  })

  app.get('/api/kernels/:id/transactions/:tx', {
    schema: { ...one, summary: 'An open transaction', response: answers({ 200: transaction }, 404, 409) },
    handler: async (request, reply) => {
      const open = await openOf(callOf(request, reply))
      const found = open.find(({ id }) => id === request.params.tx)
      if (found) return await reply.send(found)
      throw new SavepointError('unknown_transaction', 'No transaction of this id is open; it may have ended.', {
        transaction: request.params.tx.slice(0, 100),
      })
    },
  })

  app.delete('/api/kernels/:id/transactions/:tx', {
    schema: { ...one, summary: 'Roll it back', response: answers({ 200: result }, ...refusals) },
    handler: async (request, reply) => {
      const data = { op: 'rollback', transaction: request.params.tx }
      return await reply.send(await askKernel(callOf(request, reply), TRANSACTIONS, data))
    },
  })

  app.post('/api/kernels/:id/transactions/:tx/rollback', {
    schema: {
      ...one,
      summary: 'Roll it back, or to a savepoint',
      body: rollbackBody,
      response: answers({ 200: result }, ...refusals),
    },
    handler: async (request, reply) => {
      const data = { ...request.body, op: 'rollback', transaction: request.params.tx }
      return await reply.send(await askKernel(callOf(request, reply), TRANSACTIONS, data))
    },
  })

  app.post('/api/kernels/:id/transactions/:tx/savepoints', {
    schema: {
      ...one,
      summary: 'Set a savepoint in it',
      body: savepointBody,
      response: answers({ 200: transaction }, ...refusals),
    },
    handler: async (request, reply) => {
      const data = { ...request.body, op: 'savepoint', transaction: request.params.tx }
      return await reply.send(await askKernel(callOf(request, reply), TRANSACTIONS, data))
    },
  })

  app.post('/api/kernels/:id/transactions/:tx/commit', {
    schema: { ...one, summary: 'Commit it', response: answers({ 200: result }, ...refusals) },
    handler: async (request, reply) => {
      const data = { op: 'commit', transaction: request.params.tx }
      return await reply.send(await askKernel(callOf(request, reply), TRANSACTIONS, data))
    },
  })
}
