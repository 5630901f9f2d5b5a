/** `/api/kernelspecs` and the logos. */

import Type from 'typebox'
import { SavepointError } from '../../errors.js'
import { FILE_HEADERS } from '../auth/headers.js'
import { kernelSpecSchema, kernelSpecsSchema, specNameParams } from '../schemas.js'
import type { KernelSpecModel } from '../kernelspecs.js'
import { answers, type App, type RouteParts } from './route.js'

const tags = ['kernelspecs']

export function kernelSpecRoutes(app: App, { specs }: RouteParts): void {
  const specOf = (name: string): KernelSpecModel => {
    const spec = specs.get(name)
    if (spec !== null) return spec
    throw new SavepointError('unknown_kernelspec', `Kernel spec ${name.slice(0, 100)} not found`, {
      name: name.slice(0, 100),
    })
  }

  app.get('/api/kernelspecs', {
    schema: { tags, summary: 'All kernelspecs', response: answers({ 200: kernelSpecsSchema }, 401, 403) },
    handler: ({ query }, reply) => {
      // With KERNEL_USERNAME set, the gateway client of jupyter_server joins a kernelspec's name behind the query.
      const { user } = query as { user?: unknown }
      const at = typeof user === 'string' ? user.indexOf('/') : -1
      if (typeof user === 'string' && at >= 0) return reply.send(specOf(user.slice(at + 1)))
      return reply.send({ default: specs.defaultName, kernelspecs: specs.all() })
    },
  })

  app.get('/api/kernelspecs/:name', {
    schema: {
      tags,
      summary: 'One kernelspec',
      params: specNameParams,
      response: answers({ 200: kernelSpecSchema }, 404),
    },
    handler: ({ params }, reply) => reply.send(specOf(params.name)),
  })

  app.get('/kernelspecs/:name/:file', {
    schema: {
      tags,
      summary: 'A logo',
      params: Type.Object({ name: Type.String(), file: Type.String() }),
    },
    handler: ({ params }, reply) => {
      const file = specs.file(params.name, params.file)
      if (file === null)
        throw new SavepointError('not_found', `The kernelspec has no file ${params.file.slice(0, 100)}.`)
      return reply.headers(FILE_HEADERS).header('content-type', file.type).send(file.bytes)
    },
  })
}
