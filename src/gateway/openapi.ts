/** The API's description, made of the schemas that validate. */

import swagger from '@fastify/swagger'
import type { App, RouteParts } from './routes/route.js'

/** To be called before any route is added. */
export async function describeApi(app: App, { baseUrl, version }: RouteParts): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Savepoint gateway',
        version,
        description: 'Jupyter kernels over HTTP and WebSocket. Errors are `{code, message, reason, details}`.',
      },
      servers: [{ url: baseUrl.length > 1 ? baseUrl.slice(0, -1) : '/' }],
      components: {
        securitySchemes: {
          token: { type: 'apiKey', in: 'header', name: 'Authorization', description: '`token T` or `Bearer T`' },
          query: { type: 'apiKey', in: 'query', name: 'token' },
        },
      },
      security: [{ token: [] }, { query: [] }],
    },
  })
}

export function descriptionRoutes(app: App): void {
  const schema = { hide: true }
  app.get('/api/swagger.json', { schema, handler: (_request, reply) => reply.send(app.swagger()) })
  for (const url of ['/api/spec.yaml', '/api/swagger.yaml']) {
    app.get(url, {
      schema,
      handler: (_request, reply) => reply.header('content-type', 'text/x-yaml').send(app.swagger({ yaml: true })),
    })
  }
}
