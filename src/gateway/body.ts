/**
 * Bodies of requests. Jupyter's clients post JSON under all sorts of content types, or none, and nothing at all where
 * an empty object is meant; so all is JSON but where a route says that it takes bytes.
 */

import type { FastifyInstance } from 'fastify'
import { SavepointError } from '../errors.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body is handed over as a Buffer. */
    readonly takesBytes?: boolean
    /** The body is handed over as a stream, which the route bounds itself. */
    readonly takesStream?: boolean
  }
  interface FastifyRequest {
    /** Nothing, or only white space, was sent. */
    hasNoBody: boolean
  }
}

const BYTES = 'application/octet-stream'
const STREAM = 'application/vnd.savepoint.checkpoint'

export function takeBodies(app: FastifyInstance): void {
  app.decorateRequest('hasNoBody', false)
  app.removeAllContentTypeParsers()
  app.addHook('onRequest', (request, _reply, done) => {
    request.hasNoBody = true
    // Also for what would be no valid content type.
    const { takesBytes, takesStream } = request.routeOptions.config
    request.raw.headers['content-type'] = takesBytes ? BYTES : takesStream ? STREAM : 'application/json'
    done()
  })
  app.addContentTypeParser(BYTES, { parseAs: 'buffer' }, (request, body, done) => {
    request.hasNoBody = body.length === 0
    done(null, body)
  })
  app.addContentTypeParser(STREAM, (request, payload, done) => {
    request.hasNoBody = false
    done(null, payload)
  })
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = String(body).trim()
    request.hasNoBody = text === ''
    if (text === '') return done(null, {})
    try {
      done(null, (JSON.parse(text) as unknown) ?? {})
    } catch {
      done(new SavepointError('bad_request', 'Invalid JSON in body of request'))
    }
  })
  // A GET has none, and validation wants none.
  app.addHook('preValidation', (request, _reply, done) => {
    if (request.body === undefined && request.method !== 'GET' && request.method !== 'HEAD') request.body = {}
    done()
  })
}

/** Keys of a body that its route does not know: they are ignored, and named in `warnings`. */
export function warningsAbout(body: object, known: Readonly<Record<string, unknown>>, prefix = ''): string[] {
  return Object.keys(body)
    .filter((key) => !Object.hasOwn(known, key))
    .map((key) => `There is no field ${JSON.stringify(prefix + key.slice(0, 100))} here; it was ignored.`)
}
