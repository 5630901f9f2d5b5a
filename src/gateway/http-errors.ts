/**
 * What a request gets that failed: a status, and a JSON body that says why.
 *
 * `message` and `reason` are what Jupyter's clients show; `code` and `details` are for programs.
 */

import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { SavepointError } from '../errors.js'
import type { Log } from '../log.js'
import { statusOf } from './status.js'

export interface ErrorBody {
  readonly code: string
  readonly message: string
  readonly reason: string
  readonly details: Readonly<Record<string, unknown>>
}

export function reasonOf(status: number): string {
  return STATUS_CODES[status] ?? 'Error'
}

export function errorBody(error: SavepointError, status: number = statusOf(error.code)): ErrorBody {
  const isPublic = error.code === error.code.toLowerCase()
  return {
    code: isPublic ? error.code : 'internal',
    message: error.message,
    reason: reasonOf(status),
    details: error.details,
  }
}

/** Headers that go with a refusal. */
export function errorHeaders(error: SavepointError): Readonly<Record<string, string>> {
  const after = error.details['retry_after_s']
  return typeof after === 'number' ? { 'retry-after': String(Math.max(1, Math.ceil(after))) } : {}
}

/** The error handler of the server. A fault of ours is logged with its stack; the client is told that it was one. */
export function answerErrors(log: Log): (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => void {
  return (raw, request, reply) => {
    const error = raw instanceof SavepointError ? raw : fromFastify(raw)
    if (error === null) {
      log('error', 'request_failed', {
        method: request.method,
        route: routeOf(request),
        request: request.asker.request,
        error: raw.stack ?? String(raw),
      })
    }
    const told = error ?? new SavepointError('internal', 'The gateway failed at this request; its log says more.')
    const status = statusOf(told.code)
    if (error !== null && status >= 500) {
      // Whoever asks whether it is ready asks often.
      log(told.code === 'starting' ? 'debug' : 'warn', 'request_refused', {
        method: request.method,
        route: routeOf(request),
        code: told.code,
        request: request.asker.request,
      })
    }
    request.failure = told.code
    void reply.code(status).headers(errorHeaders(told)).send(errorBody(told, status))
  }
}

/** The pattern of the route, which unlike the URL holds no token. */
export function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'unknown'
}

/** What fastify itself refuses; null for a fault of ours. */
function fromFastify(error: FastifyError): SavepointError | null {
  if (error.validation) {
    const [first] = error.validation
    const where = (first?.instancePath ?? '').replace(/^\//, '').replaceAll('/', '.')
    const part = error.validationContext ?? 'body'
    const said = `${first?.message ?? 'is not valid'}${allowedValues(first?.params)}`
    return new SavepointError('bad_request', `${where === '' ? `The ${part}` : where} ${said}.`, {
      in: part,
      field: where,
    })
  }
  if (error.statusCode === 413) {
    return new SavepointError('too_large', 'The body of the request is larger than allowed (server.body_bytes_max).')
  }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new SavepointError('bad_request', error.message)
  }
  return null
}

function allowedValues(params: Readonly<Record<string, unknown>> | undefined): string {
  const values = params?.['allowedValues']
  return Array.isArray(values) ? `: ${values.join(', ')}` : ''
}
