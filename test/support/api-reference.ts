/** docs/api.md, made of the description that the gateway makes of its own schemas. */

import { systemClock } from '../../src/clock.js'
import { createRuns } from '../../src/gateway/executions/runs.js'
import { stateRoutes } from '../../src/gateway/state/state-routes.js'
import { silentLog } from '../../src/log.js'
import { FakeKernels } from '../fakes/kernels.js'
import { testGateway } from './gateway.js'

interface Schema {
  readonly type?: string | readonly string[]
  readonly title?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
}

interface Operation {
  readonly tags?: readonly string[]
  readonly summary?: string
  readonly parameters?: readonly { name: string; in: string; description?: string; schema?: Schema }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
  readonly responses?: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema: Schema }>> }>>
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const

const HEAD = `# The gateway's API

\`npm run reference\` makes this page of the schemas by which the gateway checks requests; it serves the same as OpenAPI at
\`/api/swagger.json\` and \`/api/spec.yaml\`. How to use it is in [using-gateway.md](using-gateway.md), what each error code
means in [errors.md](errors.md).

Errors are \`{"code", "message", "reason", "details"}\`. A token goes into the header \`Authorization: token T\`, or into the
query as \`?token=T\`. Fields that a request does not know are ignored.
`

/** The page as text; prettier has not seen it. */
export async function apiReference(): Promise<string> {
  const kernels = new FakeKernels(['python3'])
  const runs = createRuns({ kernels, clock: systemClock, log: silentLog })
  const nothing = (): Promise<never> => Promise.reject(new Error('Nobody asks.'))
  const store = stateRoutes({
    list: nothing,
    get: nothing,
    describe: nothing,
    validate: nothing,
    diff: nothing,
    exportTo: nothing,
    importFrom: nothing,
    remove: nothing,
  })
  const connections = { open: nothing, close: nothing, of: () => null }
  const gateway = await testGateway({ kernels, connections, more: [runs.addRoutes, store] })
  try {
    const { paths = {} } = gateway.app.swagger() as { paths?: Record<string, Record<string, Operation>> }
    const sections = new Map<string, string[]>()
    for (const [path, operations] of Object.entries(paths)) {
      for (const method of METHODS) {
        const operation = operations[method]
        if (!operation) continue
        const tag = operation.tags?.[0] ?? 'general'
        sections.set(tag, [...(sections.get(tag) ?? []), shown(method, path, operation)])
      }
    }
    const all = [...sections].flatMap(([tag, routes]) => [`## ${tag}\n`, ...routes])
    return [HEAD, ...all, '## Shapes\n', ...shapesOf(paths)].join('\n')
  } finally {
    await gateway.close()
  }
}

function shown(method: string, path: string, operation: Operation): string {
  const lines = [`### \`${method.toUpperCase()} ${path}\`\n`, `${operation.summary ?? ''}.\n`]
  const parameters = (operation.parameters ?? []).filter((each) => each.in === 'query')
  const query = parameters.map(({ name, description }) => `- query \`${name}\`${said(description)}`)
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema
  const fields = body ? fieldsOf(body, '').map((line) => `- body ${line}`) : []
  const responses = Object.entries(operation.responses ?? {})
  const good = responses
    .filter(([status]) => status.startsWith('2'))
    .map(([status, { content }]) => `- ${status} ${typeOf(Object.values(content ?? {})[0]?.schema)}`)
  const refused = responses.map(([status]) => status).filter((status) => !status.startsWith('2'))
  const refusals = refused.length > 0 ? [`- refused with ${refused.join(', ')}`] : []
  return [...lines, [...query, ...fields, ...good, ...refusals].join('\n'), ''].join('\n')
}

/** Every answer's shape that has a title, once. */
function shapesOf(paths: Record<string, Record<string, Operation>>): string[] {
  const shapes = new Map<string, string>()
  const look = (schema: Schema | undefined): void => {
    if (!schema) return
    const fields = fieldsOf(schema, '').map((line) => `- ${line}`)
    if (schema.title && fields.length > 0) shapes.set(schema.title, `### ${schema.title}\n\n${fields.join('\n')}\n`)
    for (const inner of [schema.items, ...Object.values(schema.properties ?? {})]) look(inner)
  }
  for (const operation of Object.values(paths).flatMap((operations) => Object.values(operations))) {
    for (const { content } of Object.values(operation.responses ?? {})) look(Object.values(content ?? {})[0]?.schema)
  }
  return [...shapes.keys()].toSorted().map((title) => shapes.get(title) ?? '')
}

function fieldsOf({ properties = {}, required = [] }: Schema, before: string): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const must = required.includes(name) ? ', required' : ''
    const line = `\`${before}${name}\` (${typeOf(schema)}${must})${said(schema.description)}`
    return schema.title ? [line] : [line, ...fieldsOf(schema, `${before}${name}.`)]
  })
}

function typeOf(schema: Schema | undefined): string {
  if (!schema) return 'without a body'
  if (schema.title) return schema.title
  if (schema.enum) return schema.enum.map(String).join(' | ')
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ')
  if (schema.type === 'null') return 'nothing'
  if (schema.type === 'array') return `list of ${typeOf(schema.items)}`
  const { items } = schema.properties ?? {}
  if (items?.type === 'array') return `\`{"items": [${typeOf(items.items)}], "total_count"}\``
  return typeof schema.type === 'object' ? schema.type.join(' or ') : (schema.type ?? 'anything')
}

function said(description: string | undefined): string {
  return description === undefined ? '' : `: ${description}`
}
