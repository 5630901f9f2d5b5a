/** ZeroMQ on request, beside other clients of the same kernel. */

import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { Subscriber } from 'zeromq'
import type { ConnectionFacts } from '../../../src/host/kernels/connections.js'
import { DummyFrontend, NOTHING } from '../../support/frontend.js'
import { Listener, requestFor } from './listener.js'
import { openStage, type Stage } from './stage.js'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
}, 60_000)

// A socket that a test left open when it failed would keep this process from ending.
const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

afterAll(async () => {
  await stage.close()
}, 30_000)

function frontendOf({ connection_info: info }: ConnectionFacts): DummyFrontend {
  const port = (name: string): number => Number(info[`${name}_port`])
  const ports = {
    shell: port('shell'),
    iopub: port('iopub'),
    stdin: port('stdin'),
    control: port('control'),
    hb: port('hb'),
  }
  const frontend = new DummyFrontend({ ip: String(info['ip']), key: String(info['key']), ports })
  open.push({ close: () => frontend.closes() })
  return frontend
}

/** Of that cell; what else is answered on shell may come before or after it. */
async function replyTo(id: string, frontend: DummyFrontend): Promise<unknown> {
  for (;;) {
    const { type, parent, content } = await frontend.hears('shell', 'bob')
    if (type === 'execute_reply' && parent === id) return content
  }
}

test('a kernel has no channels until somebody asks, and then one set of them until somebody closes it', async () => {
  const { kernels, connections } = stage
  const kernel = await kernels.start(requestFor())
  const ann = new Listener(kernel)
  await ann.run('1')
  expect(ann.heard.every(({ signature }) => signature === '')).toBe(true)
  expect(connections.of(kernel)).toBeNull()
  const [facts, again] = await Promise.all([connections.open(kernel), connections.open(kernel)])
  expect(again).toBe(facts)
  expect(connections.of(kernel)).toBe(facts)
  expect(facts.connection_file).toMatch(new RegExp(`/kernel-${kernel.id}\\.json$`))
  expect(JSON.parse(readFileSync(facts.connection_file, 'utf8'))).toEqual(facts.connection_info)
  expect(statSync(facts.connection_file).mode & 0o777).toBe(0o600)
  expect(facts.connection_info).toMatchObject({ transport: 'ipc', kernel_name: 'python3' })
  expect(statSync(dirname(String(facts.connection_info['ip']))).mode & 0o777).toBe(0o700)
  expect(kernel.status.connections).toBe(1)
  await connections.close(kernel)
  expect([existsSync(facts.connection_file), connections.of(kernel)]).toEqual([false, null])
  const from = ann.heard.length
  await ann.run('2')
  expect(ann.heard.slice(from).every(({ signature }) => signature === '')).toBe(true)
  await kernel.shutdown()
}, 60_000)

test('both kinds of clients see each other, replies and questions go to the asker, and a restart keeps the channels', async () => {
  const { kernels, connections } = stage
  const kernel = await kernels.start(requestFor())
  const ann = new Listener(kernel)
  await ann.run('x = 7')
  const facts = await connections.open(kernel)
  const bob = frontendOf(facts)
  await bob.greets('bob')
  const execute = async (code: string, more = {}): Promise<string> =>
    await bob.says({ ...NOTHING, channel: 'shell', type: 'execute_request', content: { code, ...more }, by: 'bob' })

  const asking = await execute('print(x, input())', { allow_stdin: true })
  expect(await bob.hears('stdin', 'bob')).toMatchObject({ type: 'input_request' })
  await bob.says({ ...NOTHING, channel: 'stdin', type: 'input_reply', content: { value: 'ok' }, by: 'bob' })
  expect(await replyTo(asking, bob)).toMatchObject({ status: 'ok' })
  await ann.next(({ type }) => type === 'stream')
  expect(ann.text).toBe('7 ok\n')
  expect(ann.heard.filter(({ channel }) => channel === 'stdin')).toEqual([])

  await bob.leftovers('bob')
  await ann.run('print("by ann")')
  const seen = await bob.leftovers('bob')
  expect(seen.filter(({ type }) => type === 'stream')).toMatchObject([{ content: { text: 'by ann\n' } }])
  expect(seen.some(({ type }) => type === 'execute_reply')).toBe(false)

  await kernel.restart()
  expect(connections.of(kernel)).toBe(facts)
  await bob.leftovers('bob')
  expect(await replyTo(await execute('x'), bob)).toMatchObject({ status: 'error', ename: 'NameError' })
  await kernel.shutdown()
  await connections.closeAll()
  expect(existsSync(facts.connection_file)).toBe(false)
}, 60_000)

test('a ZeroMQ client that does not read costs others a moment and no memory, and hears again once it reads', async () => {
  const { kernels, connections } = stage
  const kernel = await kernels.start(requestFor())
  const { connection_info: info } = await connections.open(kernel)
  const stalled = new Subscriber({ linger: 0, receiveHighWaterMark: 1 })
  open.push(stalled)
  stalled.connect(`ipc://${String(info['ip'])}-${String(info['iopub_port'])}`)
  stalled.subscribe()
  await stalled.receive()
  const ann = new Listener(kernel)
  await ann.run(`from IPython.display import display
for i in range(4000):
    display({'text/plain': 'x' * 20000}, raw=True)`)
  expect(stage.logged.join('')).toContain('zeromq_client_too_slow')
  let heard = 0
  const reading = (async () => {
    for await (const frames of stalled) {
      heard += 1
      if (String(frames.at(-1)).includes('after all')) return
    }
  })()
  let over = false
  void reading.then(() => (over = true))
  while (!over) await ann.run('print("after all")')
  expect(heard).toBeLessThan(4000)
  await kernel.shutdown()
}, 60_000)
