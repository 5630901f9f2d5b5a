/** Channels with the keys of an encrypted connection. */

import { Dealer, Request, Subscriber, curveKeyPair } from 'zeromq'
import { endpointOf, type PortName } from '../../src/wire/connection.js'
import { bound, connectionWith, receive, sealed, type Bound } from './client.js'

const server = curveKeyPair()
const CURVE = { curve_publickey: server.publicKey, curve_secretkey: server.secretKey }
/** Long enough for an encrypted connection to be made many times over; what must not come is waited for that long. */
const SILENCE_MS = 400

const stranger = curveKeyPair()
const clients: Readonly<Record<string, object>> = {
  'keys of its own': { curveServerKey: server.publicKey, ...named(curveKeyPair()) },
  "the kernel's own keys": { curveServerKey: server.publicKey, ...named(server) },
}
const refused: Readonly<Record<string, object>> = {
  'plain text': {},
  'a wrong key of the server': { curveServerKey: stranger.publicKey, ...named(curveKeyPair()) },
}

function named({ publicKey, secretKey }: { publicKey: string; secretKey: string }): object {
  return { curvePublicKey: publicKey, curveSecretKey: secretKey }
}

describe.each(['tcp', 'ipc'] as const)('an encrypted kernel over %s', (transport) => {
  let kernel: Bound
  beforeAll(async () => {
    const ip = transport === 'ipc' ? `/tmp/savepoint-curve-${process.pid}` : '127.0.0.1'
    kernel = await bound(connectionWith({ ...CURVE, transport, ip }), {
      onRequest: (channel, routing) => {
        kernel.channels.reply(channel, routing, sealed('echo', { channel }))
        kernel.channels.publish('status', sealed('status', { channel }))
      },
    })
  })
  afterAll(async () => await kernel.channels.close(200))

  const at = (name: PortName): string => endpointOf(kernel.connection, kernel.channels.ports[name])

  test.each(Object.keys(clients))('serves a client with %s on every channel', async (name) => {
    const options = { linger: 0, receiveTimeout: 30_000, ...clients[name] }
    const iopub = new Subscriber(options)
    iopub.connect(at('iopub'))
    iopub.subscribe('')
    expect((await receive(iopub)).type).toBe('iopub_welcome')
    for (const channel of ['shell', 'control', 'stdin'] as const) {
      const socket = new Dealer(options)
      socket.connect(at(channel))
      await socket.send(sealed('question'))
      expect(await receive(socket)).toMatchObject({ type: 'echo', content: { channel } })
      expect(await receive(iopub)).toMatchObject({ type: 'status', content: { channel } })
      socket.close()
    }
    const heart = new Request(options)
    heart.connect(at('hb'))
    await heart.send('ping')
    expect(String(await heart.receive())).toBe('ping')
    heart.close()
    iopub.close()
  })

  test.each(Object.keys(refused))('says nothing to a client with %s, on no channel', async (name) => {
    const options = { linger: 0, receiveTimeout: SILENCE_MS, ...refused[name] }
    const sockets = [
      ...(['shell', 'control', 'stdin'] as const).map((channel) => ({ channel, socket: new Dealer(options) })),
      { channel: 'hb' as const, socket: new Request(options) },
      { channel: 'iopub' as const, socket: new Subscriber(options) },
    ]
    const answers = sockets.map(async ({ channel, socket }) => {
      socket.connect(at(channel))
      if (socket instanceof Subscriber) socket.subscribe('')
      else void socket.send(channel === 'hb' ? ['ping'] : sealed('question')).catch(() => {})
      return await socket.receive().then(
        () => channel,
        () => null,
      )
    })
    expect((await Promise.all(answers)).filter((channel) => channel !== null)).toEqual([])
    for (const { socket } of sockets) socket.close()
  })
})
