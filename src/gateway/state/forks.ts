/** `/api/kernels/{id}/fork`: new kernels that begin with everything that is in this one. */

import Type from 'typebox'
import { answers, type App, type RouteParts } from '../routes/route.js'
import { kernelModelSchema } from '../schemas.js'
import { askKernel, opCallsOf, TRANSACTIONS } from './ask.js'
import { forkBody, kernelParams, waitQuery } from './schemas.js'

export function forkRoutes(app: App, { kernels }: RouteParts): void {
  const callOf = opCallsOf(kernels)

  app.post('/api/kernels/:id/fork', {
    schema: {
      tags: ['kernels'],
      summary: 'New kernels with all that is in this one',
      params: kernelParams,
      querystring: waitQuery,
      body: forkBody,
      response: answers({ 201: Type.Object({ kernels: Type.Array(kernelModelSchema) }) }, 400, 404, 409, 410, 422, 429),
    },
    handler: async (request, reply) => {
      const told = await askKernel(callOf(request, reply), TRANSACTIONS, { ...request.body, op: 'fork' })
      return await reply.code(201).send(told)
    },
  })
}
