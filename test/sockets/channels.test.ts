import { connectionWith, bound, dealerFor, receive, sealed, subscriberFor } from './client.js'
import type { Bound } from './client.js'
import type { RequestChannel } from '../../src/wire/message.js'

interface Closable {
  close(): unknown
}

let opened: Closable[] = []
let bounds: Bound[] = []

function keep<T extends Closable>(socket: T): T {
  opened.push(socket)
  return socket
}

async function bind(...args: Parameters<typeof bound>): Promise<Bound> {
  const made = await bound(...args)
  bounds.push(made)
  return made
}

/** Channels that answer each request at once with its own content. */
async function bindEcho(): Promise<Bound> {
  const made: Bound = await bind(connectionWith(), {
    onRequest: (channel, routing, message) => {
      const content = JSON.parse(message.contentBytes.toString()) as Record<string, unknown>
      made.channels.reply(channel, routing, sealed('echo', content))
    },
  })
  return made
}

afterEach(async () => {
  for (const socket of opened.splice(0)) socket.close()
  await Promise.all(bounds.splice(0).map(({ channels }) => channels.close(100)))
  opened = []
  bounds = []
})

test('ports that were 0 are bound, and all different', async () => {
  const { channels } = await bind()
  const ports = Object.values(channels.ports)
  expect(ports).toHaveLength(5)
  expect(new Set(ports).size).toBe(5)
  for (const port of ports) expect(port).toBeGreaterThan(0)
})

test.each<RequestChannel>(['shell', 'control', 'stdin'])(
  'a request on %s is answered to the client that asked',
  async (channel) => {
    const kernel = await bindEcho()
    const clients = [1, 2, 3].map((n) => ({ n, socket: keep(dealerFor(kernel, channel)) }))
    for (const { n, socket } of clients) await socket.send(sealed('question', { n }))
    for (const { n, socket } of clients) {
      expect(await receive(socket)).toEqual({ before: [], type: 'echo', content: { n } })
    }
  },
)

test('messages that are not signed, replayed or broken are logged, and the next good one is served', async () => {
  const kernel = await bindEcho()
  const client = keep(dealerFor(kernel, 'shell'))
  const good = sealed('question', { n: 1 })
  await client.send(['junk'])
  await client.send(['<IDS|MSG>'])
  await client.send(['<IDS|MSG>', '', '{}', '{}', '{}', '{}'])
  await client.send(good)
  await client.send(good)
  await client.send(sealed('question', { n: 2 }))
  expect([await receive(client), await receive(client)]).toMatchObject([{ content: { n: 1 } }, { content: { n: 2 } }])
  expect(kernel.log).toEqual([
    ['message_refused', { channel: 'shell', code: 'WIRE_NO_DELIMITER' }],
    ['message_refused', { channel: 'shell', code: 'WIRE_TOO_FEW_FRAMES' }],
    ['message_refused', { channel: 'shell', code: 'WIRE_BAD_SIGNATURE' }],
    ['message_refused', { channel: 'shell', code: 'WIRE_REPLAYED' }],
  ])
})

test('a request that fails in the handler is logged without its text, and the channel goes on', async () => {
  const kernel: Bound = await bind(connectionWith(), {
    onRequest: (channel, routing, message) => {
      if (message.header.msg_type === 'bad') throw new TypeError('secret cell text')
      kernel.channels.reply(channel, routing, sealed('good'))
    },
  })
  const client = keep(dealerFor(kernel, 'shell'))
  await client.send(sealed('bad'))
  await client.send(sealed('question'))
  expect(await receive(client)).toMatchObject({ type: 'good' })
  expect(kernel.log).toMatchObject([['request_failed', { channel: 'shell', fault: 'TypeError' }]])
  expect(JSON.stringify(kernel.log)).not.toContain('secret')
})

test('a client that comes back under its old identity gets its replies', async () => {
  const kernel = await bindEcho()
  const first = keep(dealerFor(kernel, 'shell', 'same'))
  await first.send(sealed('question', { n: 1 }))
  expect(await receive(first)).toMatchObject({ content: { n: 1 } })
  const second = keep(dealerFor(kernel, 'shell', 'same'))
  await second.send(sealed('question', { n: 2 }))
  expect(await receive(second)).toMatchObject({ content: { n: 2 } })
})

test('a reply to a client that has gone disturbs nobody', async () => {
  const kernel = await bindEcho()
  kernel.channels.reply('shell', [Buffer.from('nobody')], sealed('lost'))
  const client = keep(dealerFor(kernel, 'shell'))
  await client.send(sealed('question', { n: 1 }))
  expect(await receive(client)).toMatchObject({ content: { n: 1 } })
  expect(kernel.log).toEqual([])
})

test('every subscriber is welcomed, not only the first', async () => {
  const kernel = await bind()
  for (let turn = 0; turn < 3; turn += 1) {
    const subscriber = keep(subscriberFor(kernel))
    expect(await receive(subscriber)).toEqual({ before: [], type: 'iopub_welcome', content: { subscription: '' } })
  }
})

test('a welcome goes to the topic that was subscribed to', async () => {
  const kernel = await bind()
  const subscriber = keep(subscriberFor(kernel, 'stream'))
  expect(await receive(subscriber)).toEqual({
    before: ['stream'],
    type: 'iopub_welcome',
    content: { subscription: 'stream' },
  })
})

test('a subscription that is no text is served without a welcome', async () => {
  const kernel = await bind()
  const topic = Buffer.from([0xff, 0x01])
  const subscriber = keep(subscriberFor(kernel, topic))
  subscriber.subscribe('text')
  expect(await receive(subscriber)).toMatchObject({ content: { subscription: 'text' } })
})

test('publications reach those who subscribed to a beginning of the topic, in order', async () => {
  const kernel = await bind()
  const all = keep(subscriberFor(kernel))
  await receive(all)
  const some = keep(subscriberFor(kernel, 'kernel.status'))
  expect((await receive(some)).type).toBe('iopub_welcome')
  expect((await receive(all)).type).toBe('iopub_welcome')
  kernel.channels.publish('kernel.stream.stdout', sealed('stream', { text: 'a' }))
  kernel.channels.publish('kernel.status', sealed('status', { execution_state: 'idle' }))
  expect(await receive(all)).toMatchObject({ before: ['kernel.stream.stdout'], type: 'stream' })
  expect(await receive(all)).toMatchObject({ before: ['kernel.status'], type: 'status' })
  expect(await receive(some)).toMatchObject({ before: ['kernel.status'], type: 'status' })
})

test('a burst of twenty thousand publications arrives whole and in order', async () => {
  const kernel = await bind()
  const subscriber = keep(subscriberFor(kernel))
  await receive(subscriber)
  const count = 20_000
  for (let n = 0; n < count; n += 1) kernel.channels.publish('t', [Buffer.from(String(n))])
  for (let n = 0; n < count; n += 1) {
    const [, frame] = await subscriber.receive()
    if (String(frame) !== String(n)) throw new Error(`publication ${n} is missing`)
  }
})

test('closing sends what waits first', async () => {
  const kernel = await bind()
  const client = keep(dealerFor(kernel, 'shell', 'client'))
  await client.send(sealed('question'))
  await kernel.firstRequest
  const big = Buffer.alloc(1_000_000, 1)
  for (let n = 0; n < 20; n += 1) kernel.channels.reply('shell', [Buffer.from('client')], [Buffer.from(String(n)), big])
  await kernel.channels.close(1000)
  for (let n = 0; n < 20; n += 1) expect(String((await client.receive())[0])).toBe(String(n))
})

test('closing twice is allowed, and afterwards nothing is sent or heard', async () => {
  const kernel = await bindEcho()
  await Promise.all([kernel.channels.close(100), kernel.channels.close(100)])
  kernel.channels.publish('t', sealed('stream'))
  kernel.channels.reply('shell', [Buffer.from('x')], sealed('reply'))
  expect(kernel.log).toEqual([])
})

test('after closing the same ports can be bound at once, as a restarted kernel does', async () => {
  for (let turn = 0; turn < 3; turn += 1) {
    const first = await bound()
    const { shell, iopub, stdin, control, hb } = first.channels.ports
    await first.channels.close(100)
    const fields = { shell_port: shell, iopub_port: iopub, stdin_port: stdin, control_port: control, hb_port: hb }
    const second = await bind(connectionWith(fields), { bindPatienceMs: 2000 })
    expect(second.channels.ports).toEqual(first.channels.ports)
  }
})

test("channels that were another process's wait for their clients to be back", async () => {
  const kernel = await bind(connectionWith(), { patienceMs: 2_000 })
  kernel.channels.reply('stdin', [Buffer.from('ann')], sealed('input_request', { n: 1 }))
  kernel.channels.publish('', sealed('stream', { n: 2 }))
  const [late, subscriber] = [keep(dealerFor(kernel, 'stdin', 'ann')), keep(subscriberFor(kernel))]
  expect(await receive(late)).toMatchObject({ type: 'input_request', content: { n: 1 } })
  expect(await receive(subscriber)).toMatchObject({ content: { n: 2 } })
})
