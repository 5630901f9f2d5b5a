/** What a session gets that comes back, and what becomes of clients that do not read. */

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '../../sockets/manual-clock.js'
import { openStage } from './stage.js'
import type { Client, Stage } from './stage.js'

let stage: Stage
afterEach(() => stage.stop())

/** Until the gateway has noticed that nobody is there. */
async function away(): Promise<void> {
  while (!stage.kernel.clients.some((client) => client.away)) await new Promise((resolve) => setImmediate(resolve))
}

/** Until the gateway knows that everything has arrived. */
async function settled(client: Client): Promise<void> {
  await once(client.socket, 'ping')
  // Pongs are sent before any message that follows them.
  const count = stage.kernel.requests.length
  client.send('shell', 'ask')
  while (stage.kernel.requests.length === count) await new Promise((resolve) => setImmediate(resolve))
}

describe('a session that comes back', () => {
  test.each(['close', 'terminate'] as const)('gets what it has not had, once and in order, after %s', async (how) => {
    stage = await openStage()
    const first = await stage.connect('session_id=a')
    stage.kernel.print('before')
    await settled(first)
    first.socket[how]()
    await away()
    stage.kernel.print('one')
    stage.kernel.reply([...stage.kernel.attached.keys()][0] ?? '', 'shell', { type: 'execute_reply', content: {} })
    stage.kernel.print('two')
    const second = await stage.connect('session_id=a', { protocols: [] })
    stage.kernel.print('three')
    await second.until(() => second.texts.includes('three'))
    expect(second.texts).toEqual(['one', 'two', 'three'])
    expect(second.told.map(({ channel }) => channel)).toEqual(['iopub', 'shell', 'iopub', 'iopub'])
    expect(stage.kernel.clients).toHaveLength(1)
  })

  test('gets again what was on its way when the connection broke', async () => {
    stage = await openStage()
    const first = await stage.connect('session_id=a')
    first.socket.pause()
    stage.kernel.print('unread')
    first.socket.terminate()
    await away()
    const second = await stage.connect('session_id=a')
    await second.until(() => second.texts.length > 0)
    expect(second.texts).toEqual(['unread'])
  })

  test('is another one for another owner', async () => {
    stage = await openStage()
    await (await stage.connect('session_id=a')).close()
    await away()
    stage.kernel.print('private')
    const eve = await stage.connect('session_id=a', { subject: 'eve' })
    stage.kernel.print('for all')
    await eve.until(() => eve.texts.length > 0)
    expect(eve.texts).toEqual(['for all'])
  })

  test('gets nothing of before if it asks for that', async () => {
    stage = await openStage()
    await (await stage.connect('session_id=a')).close()
    await away()
    stage.kernel.print('old')
    const second = await stage.connect('session_id=a&replay=none')
    stage.kernel.print('new')
    await second.until(() => second.texts.length > 0)
    expect(second.texts).toEqual(['new'])
  })

  test('is told how many messages are not kept any more, and gets the newest', async () => {
    stage = await openStage({ journalBytesMax: 2_500 })
    await (await stage.connect('session_id=a')).close()
    await away()
    for (const text of ['1', '2', '3', '4', '5']) stage.kernel.print(text)
    const second = await stage.connect('session_id=a')
    stage.kernel.print('6')
    await second.until(() => second.texts.includes('6'))
    const lost = Number(/(\d) messages/.exec(second.texts[0] ?? '')?.[1])
    expect(lost).toBeGreaterThan(0)
    expect(second.texts.slice(1)).toEqual(['1', '2', '3', '4', '5', '6'].slice(lost))
  })

  test('is not told to restart once more', async () => {
    stage = await openStage()
    await (await stage.connect('session_id=a')).close()
    await away()
    for (const execution_state of ['restarting', 'idle'])
      stage.kernel.publish({ type: 'status', content: { execution_state } })
    const second = await stage.connect('session_id=a')
    await second.until(() => second.told.length > 0)
    expect(second.told.map(({ content }) => content)).toEqual([{ execution_state: 'idle' }])
  })

  test('takes the place of its older connection', async () => {
    stage = await openStage()
    const first = await stage.connect('session_id=a')
    const second = await stage.connect('session_id=a')
    expect(await first.closed).toMatchObject({ code: 1000 })
    stage.kernel.print('hello')
    await second.until(() => second.texts.length > 0)
    expect([second.texts, stage.kernel.clients.length, stage.channels.count()]).toEqual([['hello'], 1, 1])
  })

  test('is forgotten after its time', async () => {
    const clock = new ManualClock()
    stage = await openStage({ keptMs: 1000, pingMs: 0 }, clock)
    await (await stage.connect('session_id=a')).close()
    await away()
    clock.advance(999)
    expect(stage.kernel.clients).toHaveLength(1)
    clock.advance(1)
    expect(stage.kernel.clients).toHaveLength(0)
  })

  test('is forgotten for newer ones where there are too many', async () => {
    stage = await openStage({ keptSessionsMax: 2 })
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      await (await stage.connect(`session_id=${name}`)).close()
      while (stage.channels.count() > 0) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(stage.kernel.clients.length).toBeLessThanOrEqual(3)
  })
})

describe('a session that comes for the first time', () => {
  const busy = (id: string, execution_state = 'busy'): void =>
    stage.kernel.publish({ type: 'status', content: { execution_state }, parent: { msg_id: id } })
  const print = (id: string, text: string): void =>
    stage.kernel.publish({ type: 'stream', content: { name: 'stdout', text }, parent: { msg_id: id } })

  beforeEach(async () => {
    stage = await openStage()
    await stage.connect('session_id=first')
    for (const id of ['done', 'running']) busy(id)
    print('done', 'one')
    print('running', 'two')
    busy('done', 'idle')
    print('running', 'three')
  })

  test.each([
    ['', ['two', 'three', 'four']],
    ['&replay=none', ['four']],
    ['&replay=all', ['one', 'two', 'three', 'four']],
    ['&replay=unknown', ['one', 'two', 'three', 'four']],
  ])('gets the output of running cells, or what it asks for: %s', async (replay, texts) => {
    const client = await stage.connect(`session_id=new${replay}`)
    print('running', 'four')
    await client.until(() => client.texts.includes('four'))
    expect(client.texts).toEqual(texts)
  })

  test('gets it again as long as it has said nothing, which JupyterLab does not with its first WebSocket', async () => {
    const first = await stage.connect('session_id=new')
    await first.until(() => first.texts.includes('three'))
    await first.close()
    print('running', 'four')
    const second = await stage.connect('session_id=new')
    await second.until(() => second.texts.includes('four'))
    expect(second.texts).toEqual(['two', 'three', 'four'])
    const pinged = once(second.socket, 'ping')
    print('running', 'and')
    await pinged
    const requests = stage.kernel.requests.length
    second.send('shell', 'ask')
    while (stage.kernel.requests.length === requests) await new Promise((resolve) => setImmediate(resolve))
    await second.close()
    print('running', 'five')
    const third = await stage.connect('session_id=new')
    await third.until(() => third.texts.includes('five'))
    expect(third.texts).toEqual(['five'])
  })

  test('gets what was published before any WebSocket came', async () => {
    await stage.stop()
    stage = await openStage()
    busy('running')
    print('running', 'early')
    const client = await stage.connect('session_id=new')
    await client.until(() => client.texts.includes('early'))
    expect(stage.kernel.clients).toHaveLength(1)
  })

  test('gets what came after a message that it knows', async () => {
    const first = await stage.connect('session_id=new&replay=all')
    await first.until(() => first.texts.includes('three'))
    const known = first.told.find(({ content }) => content['text'] === 'two')?.header['msg_id']
    const second = await stage.connect(`session_id=newer&replay=${String(known)}`)
    await second.until(() => second.texts.includes('three'))
    expect(second.texts).toEqual(['three'])
  })

  test('is asked what waits for an answer, once whoever was asked is gone', async () => {
    await stage.stop()
    const clock = new ManualClock()
    stage = await openStage({ pingMs: 0 }, clock)
    const asked = await stage.connect('session_id=asked')
    asked.send('shell', 'execute_request')
    while (stage.kernel.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const [request] = stage.kernel.requests
    const parent = { msg_id: 'running' }
    busy('running')
    stage.kernel.reply(request?.from ?? '', 'stdin', { type: 'input_request', content: { prompt: '?' }, parent })
    const questions = (client: Client): number => client.told.filter(({ channel }) => channel === 'stdin').length
    const early = await stage.connect('session_id=early')
    await early.until(() => early.told.length > 0)
    await asked.close()
    await away()
    clock.advance(5_000)
    expect(stage.kernel.gone).toEqual([request?.from])
    const late = await stage.connect('session_id=late')
    await late.until(() => questions(late) === 1)
    busy('running', 'idle')
    const idle = await stage.connect('session_id=idle')
    stage.kernel.print('hello')
    await idle.until(() => idle.texts.includes('hello'))
    expect([early, idle].map(questions)).toEqual([0, 0])
  })

  test('gets no output of cells that are done', async () => {
    busy('running', 'idle')
    const client = await stage.connect('session_id=new')
    stage.kernel.print('hello')
    await client.until(() => client.told.length > 0)
    expect(client.texts).toEqual(['hello'])
  })
})

describe('a client that reads nothing', () => {
  const MIB = 1024 * 1024

  test('holds nobody up, and gets the rest from the journal when it reads again', async () => {
    stage = await openStage({ waitingBytesMax: 2 * MIB })
    const [deaf, good] = [await stage.connect('session_id=deaf'), await stage.connect('session_id=good')]
    deaf.socket.pause()
    const texts = Array.from({ length: 50 }, (_, i) => String(i).padEnd(MIB, '.'))
    for (const text of texts) {
      stage.kernel.print(text)
      await good.until(() => good.texts.at(-1) === text)
    }
    deaf.socket.resume()
    await deaf.until(() => deaf.texts.length >= texts.length)
    expect(deaf.texts).toEqual(texts)
    stage.kernel.print('last')
    await deaf.until(() => deaf.texts.at(-1) === 'last')
    expect(deaf.texts.length).toBe(texts.length + 1)
  })

  test('has no more waiting for it than it may', async () => {
    stage = await openStage({ waitingBytesMax: MIB })
    const waiting: (() => number)[] = []
    stage.onStream((stream) => waiting.push(() => stream.writableLength))
    const deaf = await stage.connect('session_id=deaf')
    deaf.socket.pause()
    for (let i = 0; i < 50; i += 1) {
      stage.kernel.print('x'.repeat(MIB))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(waiting.map((bytes) => bytes()).every((bytes) => bytes < 4 * MIB)).toBe(true)
  })

  test('and asks all the same is cut off once too many answers wait for it', async () => {
    stage = await openStage({ waitingBytesMax: MIB })
    const deaf = await stage.connect('session_id=deaf')
    deaf.socket.pause()
    while (!stage.log.includes('client_cut_off')) {
      for (let i = 0; i < 500; i += 1) deaf.send('nowhere', 'x')
      await new Promise((resolve) => setImmediate(resolve))
    }
    deaf.socket.resume()
    expect((await deaf.closed).code).toBe(1013)
  })

  test('is told from one that reads, however large a message is', async () => {
    stage = await openStage({ waitingBytesMax: 2 * MIB })
    const client = await stage.connect('session_id=large')
    stage.kernel.print('x'.repeat(8 * MIB))
    stage.kernel.print('after')
    await client.until(() => client.texts.includes('after'))
    expect(client.texts.map((text) => text.length)).toEqual([8 * MIB, 'after'.length])
    expect(stage.log).not.toContain('client_cut_off')
  })

  test('does not keep a gateway from ending, nor its session from coming back', async () => {
    stage = await openStage({ waitingBytesMax: MIB })
    const deaf = await stage.connect('session_id=deaf')
    deaf.socket.pause()
    for (let i = 0; i < 20; i += 1) stage.kernel.print('x'.repeat(MIB))
    const again = await stage.connect('session_id=deaf')
    await again.until(() => again.texts.length === 20)
    while (stage.channels.count() > 1) await new Promise((resolve) => setImmediate(resolve))
    const other = await stage.connect('session_id=other')
    other.socket.pause()
    await stage.channels.closeAll(1012, 'The gateway restarts.')
    expect(stage.channels.count()).toBe(0)
  })
})

describe('a gateway that was ended by force', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'savepoint-cursors-'))
  })
  afterEach(() => {
    for (const each of [folder, `${folder}-next`, `${folder}-next-next`]) rmSync(each, { recursive: true, force: true })
  })

  test('gives each session what it has not had, once and in order', async () => {
    stage = await openStage({ folder })
    const before = await Promise.all(['a', 'b'].map((name) => stage.connect(`session_id=${name}`)))
    for (const client of before) client.send('shell', 'hello')
    while (stage.kernel.requests.length < 2) await new Promise((resolve) => setImmediate(resolve))
    stage.kernel.print('one')
    await before[1]?.close()
    while (stage.channels.count() > 1) await new Promise((resolve) => setImmediate(resolve))
    stage.kernel.print('two')
    await before[0]?.until(() => before[0]?.texts.includes('two') === true)
    const [from] = stage.kernel.requests
    await stage.restart()
    expect(stage.kernel.clients.map(({ away }) => away)).toEqual([true, true])
    stage.kernel.print('three')
    stage.kernel.reply(from?.from ?? '', 'shell', { type: 'execute_reply', content: {} })
    const [a, b] = await Promise.all(['a', 'b'].map((name) => stage.connect(`session_id=${name}`)))
    stage.kernel.print('four')
    for (const client of [a, b]) await client?.until(() => client.texts.includes('four'))
    expect([a?.texts, b?.texts.slice(-3)]).toEqual([
      ['three', 'four'],
      ['two', 'three', 'four'],
    ])
    expect([a, b].map((each) => each?.told.some(({ type }) => type === 'execute_reply'))).toEqual([true, false])
    await stage.restart()
    const again = await stage.connect('session_id=a')
    stage.kernel.print('five')
    await again.until(() => again.texts.includes('five'))
    expect(again.texts).toEqual(['five'])
  })

  test('has remembered of one that does not answer what has arrived, not what was sent', async () => {
    const clock = new ManualClock()
    stage = await openStage({ folder, pingMs: 0 }, clock)
    const client = await stage.connect('session_id=a')
    stage.kernel.print('one')
    await settled(client)
    client.socket.pause()
    clock.advance(100)
    stage.kernel.print('two')
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(10_000)
    await new Promise((resolve) => setImmediate(resolve))
    await stage.restart()
    const again = await stage.connect('session_id=a')
    await again.until(() => again.texts.includes('two'))
    expect(again.texts).toEqual(['two'])
  })

  test('frees the places of sessions that are over, and takes what is there for what it is', async () => {
    const clock = new ManualClock()
    stage = await openStage({ folder, keptMs: 1_000, pingMs: 0 }, clock)
    await (await stage.connect('session_id=a')).close()
    await away()
    await stage.restart()
    expect(stage.kernel.clients).toHaveLength(1)
    clock.advance(1_000)
    expect(stage.kernel.clients).toEqual([])
    await stage.restart()
    expect(stage.kernel.clients).toEqual([])
  })
})
