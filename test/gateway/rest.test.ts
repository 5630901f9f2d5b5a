/** Jupyter's own routes, as its clients rely on them. */

import { testGateway, type Answer, type TestGateway, WITH_TOKEN } from '../support/gateway.js'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await testGateway()
})
afterEach(async () => {
  for (const kernel of gateway.kernels.list()) await kernel.shutdown()
})
afterAll(async () => {
  await gateway.close()
})

/** The format by which the gateway client of jupyter_server parses dates. */
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z$/

describe('kernels', () => {
  test('are started with 201, a Location and a model that Jupyter can read', async () => {
    const { status, headers, body } = await gateway.ask('POST', '/api/kernels', { name: 'python3' })
    expect(status).toBe(201)
    expect(headers['location']).toBe(`/api/kernels/${body.id}`)
    expect(body).toMatchObject({ name: 'python3', execution_state: 'idle', connections: 0 })
    expect(body.last_activity).toMatch(DATE)
    expect((await gateway.ask('GET', '/api/kernels')).body).toEqual([body])
    expect((await gateway.ask('GET', `/api/kernels/${body.id}`)).body).toEqual(body)
  })

  test('without a body, or without a name, are of the default kernelspec', async () => {
    for (const body of [undefined, {}, { name: null }]) {
      expect((await gateway.ask('POST', '/api/kernels', body)).body.name).toBe('python3')
    }
  })

  test('keep the name that was asked for', async () => {
    expect((await gateway.ask('POST', '/api/kernels', { name: 'savepoint' })).body.name).toBe('savepoint')
  })

  test('have the id that the client gave, and asked for again are the same', async () => {
    const kernel_id = '0a-1b-2c-3d-4e'
    expect((await gateway.ask('POST', '/api/kernels', { kernel_id })).body.id).toBe(kernel_id)
    expect((await gateway.ask('POST', '/api/kernels', { kernel_id })).status).toBe(201)
    expect(gateway.kernels.list()).toHaveLength(1)
  })

  test('get environment and path as they were sent', async () => {
    const env = { KERNEL_USERNAME: 'bob', KERNEL_WORKING_DIR: '/tmp' }
    await gateway.ask('POST', '/api/kernels', { env, path: 'a/b.ipynb' })
    expect(gateway.kernels.list()[0]?.request).toMatchObject({ environment: env, path: 'a/b.ipynb' })
  })

  test('begin with a checkpoint', async () => {
    await gateway.ask('POST', '/api/kernels', { savepoint: { checkpoint: 'clean' } })
    await gateway.ask('POST', '/api/kernels', { savepoint: { checkpoint: null } })
    expect(gateway.kernels.list().map(({ request }) => request.checkpoint)).toEqual(['clean', undefined])
  })

  test('are told which fields nobody knows, and are not started without what is asked of them', async () => {
    const told = await gateway.ask('POST', '/api/kernels', { color: 'red', savepoint: { guard: false, speed: 9 } })
    expect(told.status).toBe(201)
    expect(told.body.warnings).toEqual([
      'There is no field "color" here; it was ignored.',
      'There is no field "savepoint.speed" here; it was ignored.',
    ])
    const leased = await gateway.ask('POST', '/api/kernels', { savepoint: { lease: { client: 'me' } } })
    expect(leased.body.warnings).toBeUndefined()
    expect(gateway.kernels.list().at(-1)?.request.affinity).toBe('me')
    await gateway.ask('DELETE', `/api/kernels/${leased.body.id}`)
    for (const savepoint of [{ checkpoint: 7 }, { checkpoint: '' }, { guard: 'yes' }]) {
      const { status, body } = await gateway.ask('POST', '/api/kernels', { savepoint })
      expect([status, body.code]).toEqual([400, 'bad_request'])
    }
    expect(gateway.kernels.list()).toHaveLength(1)
  })

  test('are interrupted with 204, restarted with 200 and the model, ended with 204', async () => {
    const { id } = (await gateway.ask('POST', '/api/kernels')).body
    const kernel = gateway.kernels.find(id)
    expect((await gateway.ask('POST', `/api/kernels/${id}/interrupt`, {})).status).toBe(204)
    const restarted = await gateway.ask('POST', `/api/kernels/${id}/restart`, {})
    expect([restarted.status, restarted.body.id]).toEqual([200, id])
    expect(kernel?.done).toEqual(['interrupt', 'restart'])
    const ended = await gateway.ask('DELETE', `/api/kernels/${id}`)
    expect([ended.status, ended.text]).toEqual([204, ''])
    expect((await gateway.ask('DELETE', `/api/kernels/${id}`)).status).toBe(404)
  })

  test('that do not exist are 404 with a JSON error, whatever is asked of them', async () => {
    const asked = [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/interrupt'],
      ['POST', '/restart'],
    ] as const
    for (const [method, rest] of asked) {
      const { status, body } = await gateway.ask(method, `/api/kernels/no-such-kernel-at-all${rest}`)
      expect([status, body.code, body.reason]).toEqual([404, 'unknown_kernel', 'Not Found'])
      expect(body.message).toContain('no-such-kernel-at-all')
    }
  })

  test('of a kernelspec that does not exist are 404', async () => {
    const { status, body } = await gateway.ask('POST', '/api/kernels', { name: 'cobol' })
    expect([status, body.code]).toEqual([404, 'unknown_kernelspec'])
  })
})

describe('kernelspecs', () => {
  test('are listed with their resources, and the default one is named', async () => {
    const { body } = await gateway.ask('GET', '/api/kernelspecs')
    expect(body.default).toBe('python3')
    expect(Object.keys(body.kernelspecs)).toEqual(['python3', 'python', 'savepoint'])
    const { name, spec, resources } = body.kernelspecs.python3
    expect([name, spec.language, spec.argv]).toEqual(['python3', 'python', ['savepoint']])
    expect(resources['logo-64x64']).toBe('/kernelspecs/python3/logo-64x64.png')
  })

  test('are found one by one, also where a client joins the name behind its query', async () => {
    expect((await gateway.ask('GET', '/api/kernelspecs/python3')).body.name).toBe('python3')
    expect((await gateway.ask('GET', '/api/kernelspecs?user=bob/python3')).body.name).toBe('python3')
    expect((await gateway.ask('GET', '/api/kernelspecs?user=bob')).body.default).toBe('python3')
    for (const url of ['/api/kernelspecs/cobol', '/api/kernelspecs?user=bob/cobol']) {
      const { status, body } = await gateway.ask('GET', url)
      expect([status, body.code]).toEqual([404, 'unknown_kernelspec'])
    }
  })

  test('have logos with their type, and nothing else of the disk', async () => {
    const logo = await gateway.ask('GET', '/kernelspecs/python3/logo-64x64.png')
    expect([logo.status, logo.headers['content-type']]).toEqual([200, 'image/png'])
    // A page of another origin that may use the gateway shows it.
    expect(logo.headers['cross-origin-resource-policy']).toBe('cross-origin')
    const svg = await gateway.ask('GET', '/kernelspecs/python3/logo-svg.svg')
    expect(svg.headers['content-type']).toBe('image/svg+xml')
    for (const file of ['kernel.json', 'logo-1.png', '..%2f..%2fpackage.json', '%2e%2e', '..%00']) {
      expect((await gateway.ask('GET', `/kernelspecs/python3/${file}`)).status).toBe(404)
    }
  })
})

describe('sessions', () => {
  const wanted = { path: 'a.ipynb', name: 'a', type: 'notebook', kernel: { name: 'python3' } }

  test('are started with 201 and their kernel, and carry what old clients read', async () => {
    const { status, headers, body } = await gateway.ask('POST', '/api/sessions', wanted)
    expect(status).toBe(201)
    expect(headers['location']).toBe(`/api/sessions/${body.id}`)
    expect(body).toMatchObject({
      path: 'a.ipynb',
      name: 'a',
      type: 'notebook',
      notebook: { path: 'a.ipynb', name: 'a' },
    })
    expect(body.kernel).toEqual((await gateway.ask('GET', `/api/kernels/${body.kernel.id}`)).body)
    expect((await gateway.ask('GET', '/api/sessions')).body).toEqual([body])
    expect((await gateway.ask('GET', `/api/sessions/${body.id}`)).body).toEqual(body)
  })

  test('of one path are one', async () => {
    const [one, other] = await Promise.all([
      gateway.ask('POST', '/api/sessions', wanted),
      gateway.ask('POST', '/api/sessions', wanted),
    ])
    expect(other.body).toEqual(one.body)
    expect((await gateway.ask('POST', '/api/sessions', wanted)).body.id).toBe(one.body.id)
    expect(gateway.kernels.list()).toHaveLength(1)
  })

  test('take a kernel that runs', async () => {
    const { id } = (await gateway.ask('POST', '/api/kernels')).body
    const { body } = await gateway.ask('POST', '/api/sessions', { ...wanted, kernel: { id } })
    expect(body.kernel.id).toBe(id)
    expect(gateway.kernels.list()).toHaveLength(1)
  })

  test('are renamed, and given another kernel, which ends the one before', async () => {
    const before = (await gateway.ask('POST', '/api/sessions', wanted)).body
    const renamed = await gateway.ask('PATCH', `/api/sessions/${before.id}`, { path: 'b.ipynb', name: 'b' })
    expect([renamed.status, renamed.body.path, renamed.body.name]).toEqual([200, 'b.ipynb', 'b'])
    const moved = await gateway.ask('PATCH', `/api/sessions/${before.id}`, { kernel: { name: 'python' } })
    expect(moved.body.kernel.name).toBe('python')
    expect(gateway.kernels.list().map(({ id }) => id)).toEqual([moved.body.kernel.id])
    const { status, body } = await gateway.ask('PATCH', `/api/sessions/${before.id}`, { kernel: { id: 'none' } })
    expect([status, body.code]).toEqual([400, 'bad_request'])
  })

  test('leave no kernel behind when several requests give them one, or end them, at the same time', async () => {
    const { kernels } = gateway
    const { id } = (await gateway.ask('POST', '/api/sessions', wanted)).body
    /** Something else happens while a kernel starts. */
    const meanwhile = (happens: () => Promise<unknown>): void => {
      const start = kernels.start.bind(kernels)
      kernels.start = async (request) => {
        kernels.start = start
        await happens()
        return await start(request)
      }
    }
    meanwhile(() => gateway.ask('PATCH', `/api/sessions/${id}`, { kernel: { name: 'savepoint' } }))
    const moved = await gateway.ask('PATCH', `/api/sessions/${id}`, { kernel: { name: 'python' } })
    expect(kernels.list().map((kernel) => kernel.id)).toEqual([moved.body.kernel.id])
    meanwhile(() => gateway.ask('DELETE', `/api/sessions/${id}`))
    const late = await gateway.ask('PATCH', `/api/sessions/${id}`, { kernel: { name: 'python' } })
    expect([late.status, late.body.code]).toEqual([404, 'unknown_session'])
    expect(kernels.list()).toEqual([])
  })

  test('end with their kernel; 410 when it went first, 404 after that', async () => {
    const first = (await gateway.ask('POST', '/api/sessions', wanted)).body
    expect((await gateway.ask('DELETE', `/api/sessions/${first.id}`)).status).toBe(204)
    expect(gateway.kernels.list()).toEqual([])
    const second = (await gateway.ask('POST', '/api/sessions', wanted)).body
    await gateway.ask('DELETE', `/api/kernels/${second.kernel.id}`)
    expect((await gateway.ask('DELETE', `/api/sessions/${second.id}`)).status).toBe(410)
    expect((await gateway.ask('DELETE', `/api/sessions/${second.id}`)).status).toBe(404)
    expect((await gateway.ask('GET', '/api/sessions')).body).toEqual([])
  })

  test('with a kernelspec that does not exist are 501, as in jupyter_server', async () => {
    const { status, body } = await gateway.ask('POST', '/api/sessions', { ...wanted, kernel: { name: 'cobol' } })
    expect([status, body.short_message]).toEqual([501, 'cobol not found'])
    expect(body.message).toContain("The 'cobol' kernel is not available")
  })

  test('need a body, a path and a type', async () => {
    const messages = []
    for (const body of [undefined, {}, { path: 'x' }]) {
      const answer = await gateway.ask('POST', '/api/sessions', body)
      expect(answer.status).toBe(400)
      messages.push(answer.body.message)
    }
    expect(messages).toEqual([
      'No JSON data provided',
      'Missing field in JSON data: path',
      'Missing field in JSON data: type',
    ])
  })

  test('of clients from 2015 say `notebook`', async () => {
    const { body } = await gateway.ask('POST', '/api/sessions', { notebook: { path: 'old.ipynb' }, kernel: {} })
    expect([body.path, body.type]).toEqual(['old.ipynb', 'notebook'])
  })
})

describe('bodies', () => {
  const post = (body: string, contentType?: string): Promise<Answer> => {
    const headers = { ...WITH_TOKEN, ...(contentType === undefined ? {} : { 'content-type': contentType }) }
    return gateway.send({ method: 'POST', url: '/api/kernels', headers, body })
  }

  test('are JSON, whatever they call themselves', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json; charset=UTF-8',
      ';;',
      'x',
    ]) {
      const answer = await post('{"name": "python"}', type)
      expect([type, answer.status, answer.body.name]).toEqual([type, 201, 'python'])
    }
    expect((await post('  ')).status).toBe(201)
  })

  test('that are no JSON, or of the wrong shape, are 400 and start nothing', async () => {
    const wrong = ['{', '[]', '"x"', '1', '{"name": 1}', '{"env": {"A": 1}}', '{"kernel_id": {}}', '{"savepoint": 1}']
    for (const payload of wrong) {
      const answer = await post(payload)
      expect([payload, answer.status]).toEqual([payload, 400])
      expect(answer.body.code).toBe('bad_request')
    }
    expect(gateway.kernels.list()).toEqual([])
  })

  test('name the field that is wrong', async () => {
    expect((await post('{"env": {"A": 1}}')).body.message).toBe('env.A must be string.')
  })

  test('that are too large are 413', async () => {
    const answer = await post(JSON.stringify({ name: 'x'.repeat(70_000) }))
    expect([answer.status, answer.body.code]).toEqual([413, 'too_large'])
  })
})

describe('urls', () => {
  test('may have cache busters, trailing and double slashes', async () => {
    for (const url of ['/api/kernels?1763737373737', '/api/kernels/', '//api//kernels']) {
      expect((await gateway.ask('GET', url)).status).toBe(200)
    }
  })

  test('that lead nowhere are 404 and JSON', async () => {
    for (const url of ['/', '/tree', '/lab', '/api/contents', '/api/terminals', '/api/kernels/a/b/c', '/%zz']) {
      const { status, headers, body } = await gateway.ask('GET', url)
      expect([url, status >= 400 && status < 405]).toEqual([url, true])
      expect(headers['content-type']).toMatch(/^application\/json/)
      expect(typeof body.message).toBe('string')
    }
  })

  test('are below the base URL, if there is one', async () => {
    const based = await testGateway({ baseUrl: '/jupyter/' })
    try {
      const { status, headers, body } = await based.ask('POST', '/jupyter/api/kernels')
      expect([status, headers['location']]).toEqual([201, `/jupyter/api/kernels/${body.id}`])
      expect((await based.ask('GET', '/api/kernels')).status).toBe(404)
      const specs = (await based.ask('GET', '/jupyter/api/kernelspecs')).body.kernelspecs
      const logo = specs.python3.resources['logo-64x64']
      expect(logo).toBe('/jupyter/kernelspecs/python3/logo-64x64.png')
      expect((await based.ask('GET', logo)).status).toBe(200)
    } finally {
      await based.close()
    }
  })
})

describe('the gateway', () => {
  const bare = (url: string) => gateway.send({ url })

  test('tells its version and its health without a token, and nothing else', async () => {
    expect((await bare('/api')).body.version).toMatch(/^2\./)
    expect((await bare('/healthz')).status).toBe(200)
    expect((await bare('/readyz')).status).toBe(200)
    for (const url of ['/api/kernels', '/api/status', '/metrics', '/api/me', '/api/spec.yaml', '/api/sessions']) {
      expect([url, (await bare(url)).status]).toEqual([url, 401])
    }
  })

  test('tells how busy it is', async () => {
    await gateway.ask('POST', '/api/kernels')
    const { body } = await gateway.ask('GET', '/api/status')
    expect(body).toEqual({
      started: expect.stringMatching(DATE),
      last_activity: '2026-01-02T03:04:05.678Z',
      kernels: 1,
      connections: 0,
    })
  })

  test('tells who the token stands for, and what it allows', async () => {
    const permissions = encodeURIComponent(JSON.stringify({ kernels: ['read', 'fly'] }))
    const { body } = await gateway.ask('GET', `/api/me?permissions=${permissions}`)
    expect(body.identity.username).toBe('local')
    expect(body.permissions.kernels).toContain('read')
    expect((await gateway.ask('GET', '/api/me?permissions=[1')).status).toBe(400)
  })

  test('is not ready while the pool is not', async () => {
    const cold = await testGateway({ pool: { isReady: () => false, facts: () => ({}), counts: () => ({}) } })
    try {
      for (const url of ['/readyz', '/api/savepoint/ready']) {
        const { status, headers, body } = await cold.ask('GET', url)
        expect([status, body.code, headers['retry-after']]).toEqual([503, 'starting', '1'])
      }
      expect((await cold.ask('GET', '/healthz')).status).toBe(200)
    } finally {
      await cold.close()
    }
  })

  test('counts what it did for Prometheus, without ids or tokens in the labels', async () => {
    const { id } = (await gateway.ask('POST', '/api/kernels')).body
    await gateway.ask('GET', `/api/kernels/${id}?token=secret-token`)
    const { text, headers } = await gateway.ask('GET', '/metrics')
    expect(headers['content-type']).toMatch(/^text\/plain/)
    expect(text).toContain(
      'http_request_duration_seconds_count{method="GET",handler="/api/kernels/:id",status_code="200"}',
    )
    expect(text).toContain('savepoint_kernels{state="idle"} 1')
    expect(text).toContain('savepoint_kernel_forks_total 0')
    expect(text).toContain('savepoint_pool_workers{state="ready"} 1')
    expect(text).toContain('savepoint_snapshots 2\n')
    expect(text).toContain('savepoint_snapshot_bytes 8192\n')
    expect(text).toContain('savepoint_undos_total 3\n')
    expect(text).not.toContain(id)
    expect(text).not.toContain('secret-token')
  })

  test('describes its API by the schemas that validate', async () => {
    const { openapi, paths } = (await gateway.ask('GET', '/api/swagger.json')).body
    expect(openapi).toBe('3.1.0')
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/api/kernels', '/api/kernels/{id}/restart', '/api/sessions']),
    )
    const { properties } = paths['/api/kernels'].post.requestBody.content['application/json'].schema
    expect(Object.keys(properties)).toEqual(['name', 'env', 'path', 'kernel_id', 'savepoint'])
    for (const url of ['/api/spec.yaml', '/api/swagger.yaml']) {
      expect((await gateway.ask('GET', url)).text).toMatch(/^openapi: 3\.1\.0$/m)
    }
  })

  test('answers a preflight without a token', async () => {
    const answer = await gateway.send({ method: 'OPTIONS', url: '/api/kernels' })
    expect(answer.status).toBe(204)
  })
})
