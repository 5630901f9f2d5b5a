/** `/api/kernels/{id}/undo`, `redo` and `snapshots`: the guard's moments, over HTTP. */

import { answers, type App, type RouteParts } from '../routes/route.js'
import { askKernel, opCallsOf, TRANSACTIONS } from './ask.js'
import { kernelParams, listOf, result, snapshot, snapshotParams, stepsBody, waitQuery } from './schemas.js'

const tags = ['undo and snapshots']
const refusals = [400, 404, 409, 410, 422, 429] as const

export function guardRoutes(app: App, { kernels }: RouteParts): void {
  const all = { tags, params: kernelParams, querystring: waitQuery }
  const callOf = opCallsOf(kernels)

  for (const [op, summary] of [
    ['undo', 'Go back to the state before the last cells'],
    ['redo', 'Take back an undo'],
  ] as const) {
    app.post(`/api/kernels/:id/${op}`, {
      schema: { ...all, summary, body: stepsBody, response: answers({ 200: result }, ...refusals) },
      handler: async (request, reply) =>
        await reply.send(await askKernel(callOf(request, reply), TRANSACTIONS, { ...request.body, op })),
    })
  }

  app.get('/api/kernels/:id/snapshots', {
    schema: { ...all, summary: 'Frozen copies, oldest first', response: answers({ 200: listOf(snapshot) }, 404, 409) },
    handler: async (request, reply) =>
      await reply.send(await askKernel(callOf(request, reply), TRANSACTIONS, { op: 'snapshots' })),
  })

  app.delete('/api/kernels/:id/snapshots/:sid', {
    schema: {
      ...all,
      params: snapshotParams,
      summary: 'Give up a copy of the guard',
      response: answers({ 204: null }, 404, 409),
    },
    handler: async (request, reply) => {
      const data = { op: 'discard', snapshot: request.params.sid }
      await askKernel(callOf(request, reply), TRANSACTIONS, data)
      return await reply.code(204).send()
    },
  })
}
