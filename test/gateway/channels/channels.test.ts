/** One WebSocket joined to one kernel: what goes through, and what happens to who misbehaves. */

import { V1_SUBPROTOCOL } from '../../../src/wire/websocket.js'
import { ManualClock } from '../../sockets/manual-clock.js'
import { openStage, writeV1 } from './stage.js'
import type { Client, Stage } from './stage.js'

let stage: Stage
afterEach(() => stage.stop())

const dialects: [string, { protocols: string[] }][] = [
  ['v1', { protocols: [V1_SUBPROTOCOL] }],
  ['legacy', { protocols: [] }],
]

describe('the subprotocol', () => {
  beforeEach(async () => {
    stage = await openStage()
  })

  test.each([
    [[V1_SUBPROTOCOL], V1_SUBPROTOCOL],
    [['other', V1_SUBPROTOCOL], V1_SUBPROTOCOL],
    [['v1.token.secret', V1_SUBPROTOCOL], V1_SUBPROTOCOL],
    [[], ''],
  ])('of %j is %j', async (protocols, chosen) => {
    const client = await stage.connect('session_id=a', { protocols })
    expect(client.socket.protocol).toBe(chosen)
    expect(client.socket.extensions).toBe('')
  })

  test('is none if only a token is offered', async () => {
    const connecting = stage.connect('session_id=a', { protocols: ['v1.token.secret'] })
    // This client wants one of those that it offered.
    await expect(connecting).rejects.toThrow('no subprotocol')
  })
})

describe.each(dialects)('messages in the framing %s', (_name, options) => {
  beforeEach(async () => {
    stage = await openStage()
  })

  test('go to the kernel with the bytes of their parts, and replies to who asked', async () => {
    stage.kernel.onRequest = ({ from, channel, message }) =>
      stage.kernel.reply(from, channel, {
        type: 'kernel_info_reply',
        content: { status: 'ok' },
        parent: message.header,
      })
    const [one, other] = [await stage.connect('session_id=a', options), await stage.connect('session_id=b', options)]
    one.send('control', 'kernel_info_request', { a: '\u20ac' })
    await one.until(() => one.told.length > 0)
    expect(one.told).toMatchObject([
      { channel: 'control', type: 'kernel_info_reply', parent: { msg_id: 'c-kernel_info_request', session: 's' } },
    ])
    expect(stage.kernel.requests[0]?.message.contentBytes.toString()).toBe('{"a":"\u20ac"}')
    stage.kernel.print('for all')
    await other.until(() => other.told.length > 0)
    expect(other.texts).toEqual(['for all'])
  })

  test('carry buffers to clients', async () => {
    const client = await stage.connect('session_id=a', options)
    const buffers = [Buffer.from([0xff, 0]), Buffer.alloc(0), Buffer.alloc(100_000, 7)]
    stage.kernel.publish({ type: 'comm_msg', content: {}, buffers })
    await client.until(() => client.told.length > 0)
    expect(client.told[0]?.buffers).toEqual(buffers)
  })

  test('come in the order in which they were published, ten thousand in one turn', async () => {
    const client = await stage.connect('session_id=a', options)
    const wanted = Array.from({ length: 10_000 }, (_, i) => String(i))
    for (const text of wanted) stage.kernel.print(text)
    await client.until(() => client.told.length === wanted.length)
    expect(client.texts).toEqual(wanted)
  })

  test('for no channel, or of the wrong shape, are refused in words, and the next one is served', async () => {
    const client = await stage.connect('session_id=a', options)
    client.send('iopub', 'status')
    client.send('nowhere', 'execute_request')
    client.send('shell', '')
    client.send('shell', 'execute_request')
    await client.until(() => stage.kernel.requests.length > 0 && client.told.length === 3)
    expect(client.texts).toEqual([
      expect.stringContaining('iopub'),
      expect.stringContaining('channel that does not exist'),
      expect.stringContaining('msg_type'),
    ])
    expect(stage.kernel.requests).toMatchObject([
      { channel: 'shell', message: { header: { msg_type: 'execute_request' } } },
    ])
  })
})

describe('frames that cannot be taken apart', () => {
  beforeEach(async () => {
    stage = await openStage({ messageBytesMax: 10_000 })
  })

  test.each<[string, string[], Buffer | string, number]>([
    ['text where only binary frames are', [V1_SUBPROTOCOL], '{}', 1003],
    ['wrong offsets', [V1_SUBPROTOCOL], Buffer.alloc(64, 1), 1007],
    ['no JSON', [], 'hello', 1007],
    ['a wrong binary frame', [], Buffer.alloc(3), 1007],
    ['a message that is too large', [], ' '.repeat(10_001), 1009],
  ])('end that connection and no other: %s', async (_what, protocols, data, code) => {
    const good = await stage.connect('session_id=good')
    const bad = await stage.connect('session_id=bad', { protocols })
    bad.socket.send(data)
    expect((await bad.closed).code).toBe(code)
    good.send('shell', 'execute_request')
    stage.kernel.print('still here')
    await good.until(() => good.texts.includes('still here'))
    expect(good.texts).toEqual(['still here'])
  })

  test('may be cut in fragments, as WebSockets allow', async () => {
    const client = await stage.connect('session_id=a')
    const header = Buffer.from('{"msg_id":"1","msg_type":"x"}')
    const frame = writeV1([Buffer.from('shell'), header, ...Array.from({ length: 3 }, () => Buffer.from('{}'))])
    const done = new Promise<void>((resolve) => {
      stage.kernel.onRequest = () => resolve()
    })
    client.socket.send(frame.subarray(0, 50), { fin: false })
    client.socket.send(frame.subarray(50), { fin: true })
    await done
  })
})

describe('the end of a connection', () => {
  test('of a kernel is 1000, after everything that it said', async () => {
    stage = await openStage()
    const client = await stage.connect('session_id=a')
    stage.kernel.print('last words')
    stage.kernel.end()
    expect(await client.closed).toEqual({ code: 1000, reason: 'The kernel has ended.' })
    expect(client.texts).toEqual(['last words'])
    expect(stage.kernel.clients).toEqual([])
  })

  test('of a gateway has the code that it is closed with', async () => {
    stage = await openStage()
    const clients = [await stage.connect('session_id=a'), await stage.connect('', { protocols: [] })]
    expect(stage.channels.count()).toBe(2)
    await stage.channels.closeAll(1012, 'The gateway restarts.')
    for (const client of clients) expect(await client.closed).toEqual({ code: 1012, reason: 'The gateway restarts.' })
    expect([stage.channels.count(), stage.kernel.clients.length]).toEqual([0, 0])
  })

  test('of a token is 1008, after words that say why', async () => {
    stage = await openStage()
    const client = await stage.connect('session_id=a')
    stage.endTokens('expired')
    expect(await client.closed).toEqual({ code: 1008, reason: 'The token has expired.' })
    expect(client.texts).toEqual([expect.stringContaining('The token has expired.')])
  })

  test('comes for a peer that answers no ping, and not for one that does', async () => {
    const clock = new ManualClock()
    stage = await openStage({ pingMs: 30_000 }, clock)
    const [alive, gone] = [await stage.connect('session_id=a'), await stage.connect('session_id=b')]
    gone.socket.pause()
    for (let i = 0; i < 4; i += 1) {
      const pinged = new Promise((resolve) => alive.socket.once('ping', resolve))
      clock.advance(30_000)
      await pinged
      // The answer to the ping is there before what follows it.
      alive.send('shell', 'execute_request')
      const count = i + 1
      await new Promise<void>((resolve) => {
        const look = (): void => void (stage.kernel.requests.length >= count ? resolve() : setImmediate(look))
        look()
      })
    }
    expect(stage.channels.count()).toBe(1)
    expect(alive.socket.readyState).toBe(1)
  })
})

test('a client that sends faster than it may is read more slowly, and loses nothing', async () => {
  const clock = new ManualClock()
  stage = await openStage({ messagesPerS: 1 }, clock)
  const client = await stage.connect('session_id=a')
  for (let i = 0; i < 30; i += 1) client.send('shell', 'execute_request')
  const served = (): number => stage.kernel.requests.length
  while (served() < 11) await new Promise((resolve) => setImmediate(resolve))
  const before = served()
  for (let i = 0; i < 60 && served() < 30; i += 1) {
    clock.advance(1000)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  expect([before < 30, served()]).toEqual([true, 30])
})

test('a client without a session is served, and named in the log', async () => {
  stage = await openStage()
  const client: Client = await stage.connect()
  stage.kernel.print('hello')
  await client.until(() => client.texts.length > 0)
  expect(stage.log).toContain('websocket_without_session_id')
  await client.close()
  while (stage.kernel.clients.length > 0) await new Promise((resolve) => setImmediate(resolve))
})
