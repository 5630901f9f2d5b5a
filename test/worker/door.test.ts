import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { encodeFrame, FrameReader } from '../../src/link/framing.js'
import type { Envelope, Frame, Hello } from '../../src/link/protocol.js'
import type { Connection } from '../../src/worker/connection.js'
import { openDoor, type Door } from '../../src/worker/door.js'

const HELLO = { kind: 'hello', role: 'worker', kernel: 'k1', token: 'right', pid: 7 }
/** Nobody here is that late, but who says nothing. */
const HELLO_MS = 10_000

interface Visit {
  readonly hello: Hello
  readonly connection: Connection
  readonly frames: Frame[]
  readonly closed: Promise<void>
}

let folder: string
let door: Door
let visits: Visit[]
let said: string[]

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'savepoint-door-'))
  visits = []
  said = []
  door = await open(HELLO_MS)
})

afterEach(() => {
  for (const { connection } of visits) connection.close()
  door.close()
  rmSync(folder, { recursive: true, force: true })
})

async function open(helloMs: number): Promise<Door> {
  const log = (_level: string, event: string, fields: object = {}): void => {
    said.push(`${event} ${JSON.stringify(fields)}`)
  }
  return await openDoor(
    join(folder, 'link'),
    (hello, connect) => {
      if (hello.token !== 'right') return false
      const frames: Frame[] = []
      let close = (): void => {}
      const closed = new Promise<void>((resolve) => (close = resolve))
      const connection = connect({ onFrame: (frame) => void frames.push(frame), onClose: () => close() })
      visits.push({ hello, connection, frames, closed })
      return true
    },
    log,
    helloMs,
  )
}

async function dial(...chunks: Buffer[]): Promise<Socket> {
  const socket = createConnection(join(folder, 'link'))
  socket.on('error', () => {})
  await once(socket, 'connect')
  for (const chunk of chunks) socket.write(chunk)
  return socket
}

const bytes = (envelope: object, ...parts: Buffer[]): Buffer => Buffer.concat(encodeFrame(envelope as Envelope, parts))

async function shownOut(...chunks: Buffer[]): Promise<void> {
  const socket = await dial(...chunks)
  await once(socket, 'close')
}

describe('the door', () => {
  test('takes in who says hello with a token that is expected, and hears what came right behind', async () => {
    const socket = await dial(Buffer.concat([bytes(HELLO), bytes({ kind: 'log' }, Buffer.from('part'))]))
    socket.write(bytes({ kind: 'reply' }))
    socket.end()
    while (visits.length === 0) await new Promise(setImmediate)
    await visits[0]?.closed
    expect(visits[0]?.hello).toMatchObject({ role: 'worker', token: 'right', pid: 7 })
    expect(visits[0]?.frames.map(({ envelope }) => envelope.kind)).toEqual(['log', 'reply'])
    expect(visits[0]?.frames[0]?.parts.map(String)).toEqual(['part'])
  })

  test('hears a hello that comes byte by byte', async () => {
    const socket = await dial()
    for (const byte of bytes(HELLO)) socket.write(Buffer.from([byte]))
    while (visits.length === 0) await new Promise(setImmediate)
    socket.destroy()
    await visits[0]?.closed
  })

  test('speaks back in frames', async () => {
    const socket = await dial(bytes(HELLO))
    while (visits.length === 0) await new Promise(setImmediate)
    const reader = new FrameReader()
    visits[0]?.connection.send({ kind: 'welcome' }, [Buffer.from('a'), Buffer.alloc(100_000, 'b')])
    let heard: Frame | undefined
    for await (const chunk of socket) {
      heard = reader.push(chunk as Buffer)[0]
      if (heard) break
    }
    expect(heard?.envelope).toEqual({ kind: 'welcome' })
    expect(heard?.parts.map(({ length }) => length)).toEqual([1, 100_000])
  })

  test.each([
    ['a token that is not expected', bytes({ ...HELLO, token: 'wrong' })],
    ['something else than a hello', bytes({ kind: 'reply' })],
    ['a hello without a token', bytes({ kind: 'hello', role: 'worker', kernel: 'k1', pid: 7 })],
    ['a role that does not exist', bytes({ ...HELLO, role: 'king' })],
    ['bytes that are no frame', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a length that no frame has', Buffer.from('ffffffff', 'hex')],
  ])('shows out %s, and goes on', async (_what, chunk) => {
    await shownOut(chunk)
    expect(visits).toEqual([])
    expect(said.join()).toContain('link_refused')
    expect(said.join()).not.toContain('wrong')
    const socket = await dial(bytes(HELLO))
    while (visits.length === 0) await new Promise(setImmediate)
    socket.destroy()
  })

  test('hears everything that came before the end, in its order, also what had to wait', async () => {
    const socket = await dial(bytes(HELLO))
    while (visits.length === 0) await new Promise(setImmediate)
    const count = 20_000
    socket.end(Buffer.concat(Array.from({ length: count }, (_, n) => bytes({ kind: 'reply', n }))))
    await visits[0]?.closed
    expect(visits[0]?.frames.map(({ envelope }) => (envelope as Envelope & { n: number }).n)).toEqual([
      ...Array(count).keys(),
    ])
  })

  test('reads nothing while it is paused, and goes on where it was', async () => {
    const socket = await dial(bytes(HELLO))
    while (visits.length === 0) await new Promise(setImmediate)
    const [visit] = visits
    visit?.connection.pause()
    const large = Buffer.alloc(4 * 1024 * 1024, 'x')
    let written = false
    socket.end(bytes({ kind: 'reply' }, large), () => (written = true))
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
    expect(written).toBe(false)
    expect(visit?.frames).toEqual([])
    visit?.connection.resume()
    await visit?.closed
    expect(visit?.frames[0]?.parts[0]?.equals(large)).toBe(true)
  })

  test('shows out who says nothing', async () => {
    door.close()
    door = await open(200)
    await shownOut()
    expect(said.join()).toContain('no hello in time')
  })

  test('ends the connection of a process that sends garbage later', async () => {
    const socket = await dial(bytes(HELLO))
    while (visits.length === 0) await new Promise(setImmediate)
    socket.write(Buffer.from('0000000000000000', 'hex'))
    await visits[0]?.closed
    expect(said.join()).toContain('link_bad_frame')
  })
})
