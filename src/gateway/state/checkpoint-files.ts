/**
 * Checkpoints as files over HTTP: one is sent as it is read, and taken in as it comes; neither is ever held whole.
 *
 * What is wrong with a checkpoint is found before the first byte of the answer. Afterwards a failure cuts the
 * connection, so that nobody takes half a file for a whole one.
 */

import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'
import { toUSVString } from 'node:util'
import { SavepointError } from '../../errors.js'
import { answers, type App } from '../routes/route.js'
import type { CheckpointRecord, CheckpointStore } from './ports.js'
import { checkpoint, checkpointParams, file, importQuery } from './schemas.js'
import { finderOf } from './stored-checkpoints.js'

const tags = ['checkpoints']
const MEDIA_TYPE = 'application/vnd.savepoint.checkpoint'

export function checkpointFileRoutes(app: App, store: CheckpointStore): void {
  const find = finderOf(store)

  app.get('/api/savepoint/checkpoints/:cp/data', {
    schema: {
      tags,
      summary: 'The whole checkpoint as one file, to be imported elsewhere',
      params: checkpointParams,
      response: answers({ 200: file }, 403, 404, 422),
    },
    handler: async ({ params, principal }, reply) => {
      const record = await find(params.cp, principal)
      const body = await begun(store, record.checkpoint_id)
      return await reply
        .header('content-type', MEDIA_TYPE)
        .header('content-disposition', disposition(record))
        .send(body)
    },
  })

  app.post('/api/savepoint/checkpoints/import', {
    config: { takesStream: true },
    schema: {
      tags,
      summary: 'Take in a file that was exported here or elsewhere; it is the body',
      querystring: importQuery,
      response: answers({ 201: checkpoint }, 400, 403, 413, 422, 429),
    },
    handler: async ({ body, query, principal }, reply) => {
      const wishes = { owner: principal.subject, trust: query.trust ?? null }
      const record = await store.importFrom(bodyOf(body), wishes)
      return await reply.code(201).send(record)
    },
  })
}

/** A client that sends no body at all has none that could be read. Throws `bad_request`. */
function bodyOf(body: unknown): Readable {
  if (typeof body === 'object' && body !== null && Symbol.asyncIterator in body) return body as Readable
  throw new SavepointError('bad_request', 'The body of the request must be a file that was exported from a gateway.')
}

/** The file, once its first bytes are there. Throws what is wrong with it. */
async function begun(store: CheckpointStore, id: string): Promise<Readable> {
  const body = new PassThrough()
  // Until somebody reads it; then that one learns of a failure by the end that comes too early.
  body.on('error', () => {})
  const failed = new Promise<never>((_resolve, reject) => {
    store.exportTo(id, body).catch((error: Error) => {
      body.destroy(error)
      reject(error)
    })
  })
  failed.catch(() => {})
  await Promise.race([once(body, 'readable').catch(() => failed), failed])
  return body
}

/** RFC 6266: a name in ASCII, and the real one. */
function disposition({ checkpoint_id: id, name }: CheckpointRecord): string {
  const real = encodeURIComponent(`${toUSVString(name ?? id)}.savepoint`).replaceAll(/['()*]/g, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  })
  return `attachment; filename="${id}.savepoint"; filename*=UTF-8''${real}`
}
