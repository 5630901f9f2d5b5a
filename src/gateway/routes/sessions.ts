/**
 * `/api/sessions`, as jupyter_server has it: also its status 501 for a kernelspec that does not exist, 410 where the
 * kernel went first, and the `notebook` of old clients.
 */

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import Type from 'typebox'
import { SavepointError } from '../../errors.js'
import { owns, type Principal } from '../auth/principal.js'
import { errorBody } from '../http-errors.js'
import { kernelRequest } from '../kernel-request.js'
import type { GatewayKernel } from '../ports.js'
import { sessionIdParams, sessionModelSchema, sessionRequestSchema } from '../schemas.js'
import { sessionModel, type NotebookSession } from '../sessions.js'
import { answers, type App, type RouteParts } from './route.js'

const tags = ['sessions']
type SessionRequest = Static<typeof sessionRequestSchema>

export function sessionRoutes(app: App, parts: RouteParts): void {
  const { sessions, kernels, baseUrl } = parts
  const modelOf = (session: NotebookSession) => {
    const kernel = kernels.find(session.kernelId)
    if (kernel !== undefined) return sessionModel(session, kernel)
    sessions.remove(session.id)
    throw unknown(session.id)
  }

  app.get('/api/sessions', {
    schema: { tags, summary: 'All sessions', response: answers({ 200: Type.Array(sessionModelSchema) }, 401, 403) },
    handler: ({ principal }, reply) =>
      reply.send(
        sessions
          .list()
          .filter(({ owner }) => owns(principal, owner))
          .map(modelOf),
      ),
  })

  app.post('/api/sessions', {
    schema: {
      tags,
      summary: 'A session for a document; the one that it has, if it has one',
      body: sessionRequestSchema,
      response: answers({ 201: sessionModelSchema }, 400, 409, 429, 501),
    },
    errorHandler: withoutSpec,
    handler: async ({ body, hasNoBody, principal }, reply) => {
      if (hasNoBody) throw new SavepointError('bad_request', 'No JSON data provided')
      const { path, type } = described(body)
      if (path === undefined) throw missing('path')
      if (type === undefined) throw missing('type')
      let session = sessions.ofPath(path, principal.subject)
      if (session === null) {
        sessions.checkRoom(principal.subject)
        const name = body.name ?? ''
        const kernel = await kernelForSession(parts, principal, body.kernel ?? {}, path, name)
        // Another request for the same document may have been quicker.
        session = sessions.ofPath(path, principal.subject)
        if (session === null) {
          session = sessions.add({ owner: principal.subject, path, name, type, kernelId: kernel.id })
        } else if (session.kernelId !== kernel.id && body.kernel?.id !== kernel.id) {
          await kernel.shutdown()
        }
      }
      return await reply.code(201).header('location', `${baseUrl}api/sessions/${session.id}`).send(modelOf(session))
    },
  })

  app.get('/api/sessions/:id', {
    schema: {
      tags,
      summary: 'One session',
      params: sessionIdParams,
      response: answers({ 200: sessionModelSchema }, 404),
    },
    handler: ({ params, principal }, reply) => reply.send(modelOf(sessionFor(params.id, principal))),
  })

  app.patch('/api/sessions/:id', {
    schema: {
      tags,
      summary: 'Rename it, or give it another kernel; the one that it had is ended',
      params: sessionIdParams,
      body: sessionRequestSchema,
      response: answers({ 200: sessionModelSchema }, 400, 404, 501),
    },
    errorHandler: withoutSpec,
    handler: async ({ params, body, hasNoBody, principal }, reply) => {
      if (hasNoBody) throw new SavepointError('bad_request', 'No JSON data provided')
      const before = sessionFor(params.id, principal)
      const { path, type } = described(body)
      let kernelId: string | null = null
      let started: GatewayKernel | null = null
      if (body.kernel?.id) {
        const kernel = kernels.find(body.kernel.id)
        if (kernel === undefined || !owns(principal, kernel.owner)) {
          throw new SavepointError('bad_request', `No such kernel: ${body.kernel.id.slice(0, 100)}`)
        }
        kernelId = kernel.id
      } else if (body.kernel?.name) {
        started = await kernelForSession(parts, principal, body.kernel, before.path, before.name)
        kernelId = started.id
      }
      // While a kernel started, another request may have given the session another one, or ended it.
      const replaced = sessions.get(before.id)?.kernelId
      const after = sessions.change(before.id, {
        ...(kernelId === null ? {} : { kernelId }),
        ...(path === undefined ? {} : { path }),
        ...(type === undefined ? {} : { type }),
        ...(body.name === undefined ? {} : { name: body.name ?? '' }),
      })
      if (after === null) {
        await started?.shutdown()
        throw unknown(before.id)
      }
      if (replaced !== undefined && replaced !== after.kernelId) await kernels.find(replaced)?.shutdown()
      return await reply.send(modelOf(after))
    },
  })

  app.delete('/api/sessions/:id', {
    schema: {
      tags,
      summary: 'End it, and its kernel',
      params: sessionIdParams,
      response: answers({ 204: null }, 404, 410),
    },
    handler: async ({ params, principal }, reply) => {
      const { id, kernelId } = sessionFor(params.id, principal)
      sessions.remove(id)
      const kernel = kernels.find(kernelId)
      if (kernel === undefined) {
        throw new SavepointError('kernel_dead', 'Kernel deleted before session', { kernel_id: kernelId })
      }
      await kernel.shutdown()
      return await reply.code(204).send()
    },
  })

  function sessionFor(id: string, principal: Principal): NotebookSession {
    const session = sessions.get(id)
    if (session !== null && owns(principal, session.owner)) return session
    throw unknown(id)
  }
}

/** A kernelspec that does not exist is 501 here, and only here. */
function withoutSpec(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  if (!(error instanceof SavepointError) || error.code !== 'unknown_kernelspec') throw error
  const { name } = error.details as { name: string }
  void reply.code(501).send({
    ...errorBody(error, 501),
    message: `The '${name}' kernel is not available. Please pick another suitable kernel instead, or install that kernel.`,
    short_message: `${name} not found`,
  })
}

/** Path and type, where old clients say them too. */
function described({ path, type, notebook }: SessionRequest): { path: string | undefined; type: string | undefined } {
  if (notebook === undefined) return { path, type }
  return { path: notebook.name ?? notebook.path ?? path, type: 'notebook' }
}

async function kernelForSession(
  { kernels, specs }: RouteParts,
  principal: Principal,
  wanted: { readonly id?: string | null; readonly name?: string | null },
  path: string,
  name: string,
): Promise<GatewayKernel> {
  const known = wanted.id ? kernels.find(wanted.id) : undefined
  if (known !== undefined && owns(principal, known.owner)) return known
  const body = { name: wanted.name ?? null, kernel_id: wanted.id ?? null, path }
  const asked = kernelRequest(body, specs.defaultName, principal)
  return await kernels.start({
    ...asked,
    environment: { ...asked.environment, JPY_SESSION_NAME: name === '' ? path : name },
  })
}

function missing(field: string): SavepointError {
  return new SavepointError('bad_request', `Missing field in JSON data: ${field}`, { field })
}

function unknown(id: string): SavepointError {
  return new SavepointError('unknown_session', `Session not found: session_id=${JSON.stringify(id.slice(0, 100))}`, {
    session_id: id.slice(0, 100),
  })
}
