/** What a session gets that comes back, and what becomes of clients that do not read. */

import { once } from 'node:events'
import { ManualClock } from '../../sockets/manual-clock.js'
import { frames, openStage } from './stage.js'
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
    stage.kernel.clients[0]?.reply('shell', [], frames({ type: 'execute_reply', content: {} }))
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

  test('is told how much could not be kept, and gets the newest', async () => {
    stage = await openStage({ keptMessagesMax: 3 })
    await (await stage.connect('session_id=a')).close()
    await away()
    for (const text of ['1', '2', '3', '4', '5']) stage.kernel.print(text)
    const second = await stage.connect('session_id=a')
    await second.until(() => second.texts.length === 4)
    expect(second.texts).toEqual([expect.stringContaining('2 messages'), '3', '4', '5'])
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

  test('gets what was published before any WebSocket came, once its kernel is watched', async () => {
    await stage.stop()
    stage = await openStage()
    stage.channels.watch(stage.kernel)
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

  test('is cut off, slows nobody down for long, and gets the newest when it comes back', async () => {
    stage = await openStage({ waitingBytesMax: 8 * MIB, keptBytesMax: 4 * MIB })
    const [deaf, good] = [await stage.connect('session_id=deaf'), await stage.connect('session_id=good')]
    deaf.socket.pause()
    const text = 'x'.repeat(MIB - 1000)
    let published = 0
    // As a worker does: it writes while nobody has to be waited for.
    while (stage.channels.count() === 2 && published < 64) {
      if (stage.kernel.behind.size === 0) {
        stage.kernel.print(text)
        published += 1
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
      if (stage.log.includes('client_cut_off')) break
    }
    await good.until(() => good.texts.length === published)
    expect(stage.log).toContain('client_cut_off')
    expect(stage.kernel.behind.size).toBe(0)
    deaf.socket.resume()
    expect((await deaf.closed).code).toBe(1013)
    await away()
    stage.kernel.print('last')
    const again = await stage.connect('session_id=deaf')
    await again.until(() => again.texts.includes('last'))
    expect(good.texts.length).toBeGreaterThanOrEqual(published)
  })
  test('is told from one that reads, however large a message is', async () => {
    stage = await openStage({ waitingBytesMax: 2 * MIB, keptBytesMax: 2 * MIB })
    const client = await stage.connect('session_id=large')
    stage.kernel.print('x'.repeat(8 * MIB))
    stage.kernel.print('after')
    await client.until(() => client.texts.includes('after'))
    expect(client.texts.map((text) => text.length)).toEqual([8 * MIB, 'after'.length])
    expect(stage.log).not.toContain('client_cut_off')
  })

  test('does not keep a gateway from ending, nor its memory when the session is back', async () => {
    stage = await openStage({ waitingBytesMax: 8 * MIB })
    const deaf = await stage.connect('session_id=deaf')
    deaf.socket.pause()
    while (!stage.log.includes('client_cut_off')) {
      stage.kernel.print('x'.repeat(MIB))
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await stage.connect('session_id=deaf')
    while (stage.channels.count() > 1) await new Promise((resolve) => setImmediate(resolve))
    const other = await stage.connect('session_id=other')
    other.socket.pause()
    await stage.channels.closeAll(1012, 'The gateway restarts.')
    expect(stage.channels.count()).toBe(0)
  })
})
