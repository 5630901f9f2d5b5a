/**
 * `/api/kernels`, as jupyter_server has it.
 *
 * Docs: https://jupyter-server.readthedocs.io/en/latest/developers/rest-api.html
 */

import Type from 'typebox'
import { kernelFor } from '../access.js'
import { owns } from '../auth/principal.js'
import { warningsAbout } from '../body.js'
import { kernelRequest, kernelRequestWarnings } from '../kernel-request.js'
import { kernelModel } from '../models.js'
import type { Connections } from '../ports.js'
import {
  connectionSchema,
  kernelIdParams,
  kernelModelSchema,
  startedKernelSchema,
  startKernelSchema,
} from '../schemas.js'
import { SavepointError } from '../../errors.js'
import { answers, type App, type RouteParts } from './route.js'

const tags = ['kernels']

export function kernelRoutes(app: App, { kernels, specs, baseUrl }: RouteParts): void {
  app.get('/api/kernels', {
    schema: { tags, summary: 'All kernels', response: answers({ 200: Type.Array(kernelModelSchema) }, 401, 403) },
    handler: ({ principal }, reply) =>
      reply.send(
        kernels
          .list()
          .filter((kernel) => owns(principal, kernel.owner))
          .map(kernelModel),
      ),
  })

  app.post('/api/kernels', {
    schema: {
      tags,
      summary: 'Start a kernel',
      body: startKernelSchema,
      response: answers({ 201: startedKernelSchema }, 400, 401, 403, 404, 409, 429),
    },
    handler: async ({ body, principal }, reply) => {
      const kernel = await kernels.start(kernelRequest(body, specs.defaultName, principal))
      const warnings = kernelRequestWarnings(body)
      return await reply
        .code(201)
        .header('location', `${baseUrl}api/kernels/${encodeURIComponent(kernel.id)}`)
        .send({ ...kernelModel(kernel), ...(warnings.length > 0 ? { warnings } : {}) })
    },
  })

  app.get('/api/kernels/:id', {
    schema: { tags, summary: 'One kernel', params: kernelIdParams, response: answers({ 200: kernelModelSchema }, 404) },
    handler: ({ params, principal }, reply) => reply.send(kernelModel(kernelFor(kernels, params.id, principal))),
  })

  app.delete('/api/kernels/:id', {
    schema: { tags, summary: 'End a kernel', params: kernelIdParams, response: answers({ 204: null }, 404) },
    handler: async ({ params, principal }, reply) => {
      await kernels.leave(kernelFor(kernels, params.id, principal))
      return await reply.code(204).send()
    },
  })

  app.post('/api/kernels/:id/interrupt', {
    schema: { tags, summary: 'Interrupt the cell', params: kernelIdParams, response: answers({ 204: null }, 404, 410) },
    handler: async ({ params, principal }, reply) => {
      kernelFor(kernels, params.id, principal).interrupt()
      return await reply.code(204).send()
    },
  })

  app.post('/api/kernels/:id/restart', {
    schema: {
      tags,
      summary: 'Restart a kernel: the id stays, the variables go',
      params: kernelIdParams,
      response: answers({ 200: kernelModelSchema }, 404, 503),
    },
    handler: async ({ params, principal }, reply) => {
      const kernel = kernelFor(kernels, params.id, principal)
      await kernel.restart()
      return await reply.send(kernelModel(kernel))
    },
  })
}

/** `/api/kernels/{id}/connection`: a kernel for clients that speak ZeroMQ. */
export function connectionRoutes(app: App, { kernels }: RouteParts, connections: Connections): void {
  app.get('/api/kernels/:id/connection', {
    schema: {
      tags,
      summary: 'The connection file, if there is one',
      params: kernelIdParams,
      response: answers({ 200: connectionSchema }, 404),
    },
    handler: ({ params, principal }, reply) => {
      const connection = connections.of(kernelFor(kernels, params.id, principal))
      if (connection !== null) return reply.send(connection)
      throw new SavepointError('not_found', 'This kernel has no connection file. Ask for one with PUT.')
    },
  })

  app.put('/api/kernels/:id/connection', {
    schema: {
      tags,
      summary: 'Open ZeroMQ channels, and write a connection file',
      params: kernelIdParams,
      response: answers({ 200: connectionSchema }, 404),
    },
    handler: async ({ params, principal, body }, reply) => {
      const connection = await connections.open(kernelFor(kernels, params.id, principal))
      return await reply.send({ ...connection, warnings: warningsAbout(body as object, {}) })
    },
  })

  app.delete('/api/kernels/:id/connection', {
    schema: { tags, summary: 'Close them', params: kernelIdParams, response: answers({ 204: null }, 404) },
    handler: async ({ params, principal }, reply) => {
      await connections.close(kernelFor(kernels, params.id, principal))
      return await reply.code(204).send()
    },
  })
}
