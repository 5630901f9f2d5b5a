/** What a gateway tells of itself: a real one, with a real receiver of traces. */

import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot, places } from '../../src/config.js'

interface Span {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly kind: number
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[]
  readonly status: { readonly code?: number; readonly message?: string }
}

interface Sent {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly Span[] }[] }[]
}

const TOKEN = 'a-secret-that-nobody-may-read'
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const CODE = 'print("the code itself")'

const spans: Span[] = []
let receiver: Server
let home: string
let serve: ChildProcess
let url: string
let log = ''
let metrics = ''

function ask(path: string, body?: object, headers: Record<string, string> = {}): Promise<Response> {
  const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
  return fetch(url + path, { ...sent, headers: { authorization: `token ${TOKEN}`, ...headers } })
}

/** Lines of a file of JSON. */
function lines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

beforeAll(async () => {
  receiver = createServer((request, answer) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      expect([request.url, request.headers['content-type'], request.headers['x-key']]).toEqual([
        '/v1/traces',
        'application/json',
        'k',
      ])
      const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString()) as Sent
      spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)))
      answer.end('{}')
    })
  })
  receiver.listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  const { port } = receiver.address() as AddressInfo
  home = mkdtempSync(join(tmpdir(), 'savepoint-observed-'))
  serve = spawn(process.execPath, [places.program, 'serve', '--port', '0', '--json', '--log-level', 'debug'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      SAVEPOINT_PYTHON: process.env['SAVEPOINT_TEST_PYTHON'],
      SAVEPOINT_DATA_DIR: join(home, 'data'),
      XDG_RUNTIME_DIR: home,
      IPYTHONDIR: join(home, 'ipython'),
      SAVEPOINT_TOKEN: TOKEN,
      SAVEPOINT_LOG_FORMAT: 'json',
      SAVEPOINT_AUDIT_ENABLED: 'on',
      SAVEPOINT_TRACING_ENDPOINT: `http://127.0.0.1:${port}`,
      SAVEPOINT_TRACING_HEADERS: 'x-key=k',
      SAVEPOINT_POOL_SIZE: '0',
    },
  })
  serve.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()))
  const { stdout } = serve
  if (stdout === null) throw new Error('It has no output.')
  const [first] = (await once(createInterface({ input: stdout }), 'line')) as [string]
  url = (JSON.parse(first) as { url: string }).url
  const { id } = (await (await ask('/api/kernels', {})).json()) as { id: string }
  const traceparent = `00-${TRACE}-b7ad6b7169203331-01`
  const named = { 'x-request-id': 'request-1', traceparent }
  const ran = await ask(`/api/kernels/${id}/executions?wait_s=60`, { code: CODE, checkpoint: { name: 'a' } }, named)
  expect([ran.status, ran.headers.get('x-request-id')]).toEqual([200, 'request-1'])
  const odd = await ask('/api/kernels', undefined, { 'x-request-id': 'two words', traceparent: '00-0-0-01' })
  expect(odd.headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/)
  await ask(`/api/kernels/${id}/executions?wait_s=60`, { code: '1 / 0' })
  await fetch(`${url}/api/kernels?token=wrong`)
  metrics = await (await ask('/metrics')).text()
  const ended = once(serve, 'close')
  serve.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
}, 60_000)

afterAll(() => {
  if (serve.exitCode === null) serve.kill('SIGKILL')
  receiver.close()
  receiver.closeAllConnections()
  rmSync(home, { recursive: true, force: true })
})

describe('a gateway', () => {
  test('logs objects of JSON that belong together by their ids, and no secret', () => {
    const told = lines(log)
    const asked = told.find(({ event }) => event === 'cell_asked')
    expect(asked).toMatchObject({ request: 'request-1', subject: 'local', owner: 'local', address: '127.0.0.1' })
    const ended = told.find(({ event, execution }) => event === 'cell_ended' && execution === asked?.['execution'])
    expect(ended).toMatchObject({ kernel: asked?.['kernel'], outcome: 'ok', level: 'debug' })
    expect(told.find(({ event, request }) => event === 'request' && request === 'request-1')).toMatchObject({
      route: '/api/kernels/:id/executions',
      status: 200,
      kernel: asked?.['kernel'],
    })
    expect(log).not.toContain(TOKEN)
    expect(log).not.toContain('the code itself')
  })

  test('counts what it does, under the names that the document has', () => {
    expect(metrics).toContain('savepoint_executions_total{outcome="ok"} 1')
    expect(metrics).toContain('savepoint_executions_total{outcome="error"} 1')
    expect(metrics).toContain('savepoint_executions{state="queued"} 0')
    expect(metrics).toContain('savepoint_executions{state="running"} 0')
    expect(metrics).toContain('savepoint_kernel_starts_total{outcome="ok"} 1')
    expect(metrics).toContain('savepoint_checkpoints_total 1')
    expect(metrics).toContain('savepoint_refusals_total{code="unauthorized"} 1')
    expect(metrics).toContain('savepoint_messages_missed_total 0')
    const document = readFileSync(join(packageRoot, 'docs', 'observability.md'), 'utf8')
    const documented = [...document.matchAll(/^\| `(\w+)` +\| (counter|gauge|histogram) /gm)].map(
      ([, name, kind]) => `${name} ${kind}`,
    )
    const told = [...metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => `${name} ${kind}`)
    expect(documented.toSorted()).toEqual(told.toSorted())
  })

  test("sends traces that go on with the client's: request, cell, checkpoint", () => {
    const ours = spans.filter(({ traceId }) => traceId === TRACE)
    const [request] = ours.filter(({ parentSpanId }) => parentSpanId === 'b7ad6b7169203331')
    expect(request).toMatchObject({ name: 'POST /api/kernels/:id/executions', kind: 2 })
    const [cell] = ours.filter(({ parentSpanId }) => parentSpanId === request?.spanId)
    expect(cell?.name).toBe('execute')
    const below = ours.filter(({ parentSpanId }) => parentSpanId === cell?.spanId).map(({ name }) => name)
    expect(below.toSorted()).toEqual(['begin checkpoint', 'write checkpoint'])
    expect(spans.find(({ status }) => status.message === 'ZeroDivisionError')?.name).toBe('execute')
    expect(spans.some(({ name }) => name === 'GET /metrics')).toBe(false)
    expect(JSON.stringify(spans)).not.toContain(TOKEN)
  })

  test('notes who did what, readable by its user alone, with the digest of the code', () => {
    const path = join(home, 'data', 'audit', 'audit.jsonl')
    expect([statSync(path).mode & 0o777, statSync(join(path, '..')).mode & 0o777]).toEqual([0o600, 0o700])
    const text = readFileSync(path, 'utf8')
    const noted = lines(text)
    const code_sha256 = createHash('sha256').update(CODE).digest('hex')
    const who = { subject: 'local', address: '127.0.0.1', request: 'request-1' }
    expect(noted.find(({ action }) => action === 'execute')).toMatchObject({ ...who, code_sha256 })
    expect(noted.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['start', 'request', 'execute', 'executed', 'checkpoint', 'refused', 'end']),
    )
    expect(noted.find(({ action }) => action === 'refused')).toMatchObject({ subject: '', status: 401 })
    expect(text).not.toContain(TOKEN)
    expect(text).not.toContain('the code itself')
  })
})
