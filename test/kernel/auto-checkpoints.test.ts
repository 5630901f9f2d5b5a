import { CHECKPOINT_TARGET } from '../../src/kernel/comms.js'
import { TestKernel } from '../support/test-kernel.js'

let drafts = 0

/** Runs a cell to its end, and the store gives a place for what may be due. */
function runs(kernel: TestKernel, code = 'x'): void {
  kernel.execute(code)
  kernel.replies()
}

function place(kernel: TestKernel): string {
  const checkpoint_id = `cp_${(drafts += 1)}`
  kernel.stores({ checkpoint_id, path: '/there' })
  return checkpoint_id
}

function forked(kernel: TestKernel): void {
  const { checkpoint } = kernel.lastCommand('checkpoint')
  kernel.says({ kind: 'forked_writer', checkpoint, pid: 7, pause_ms: 1 })
}

function written(kernel: TestKernel): string {
  const { checkpoint } = kernel.lastCommand('checkpoint')
  forked(kernel)
  kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint, ms: 3 }, parts: [] })
  kernel.stores({ checkpoint_id: checkpoint, state: 'stored' })
  return checkpoint
}

const forks = (kernel: TestKernel): number => kernel.told.filter(({ command }) => command.kind === 'checkpoint').length

describe('automatic checkpoints', () => {
  test('follow each cell, with no reply waiting for them, and tell of themselves', () => {
    const kernel = new TestKernel({ policy: { cell: true, exclude: ['tmp*'] } })
    kernel.send('shell', 'comm_open', { comm_id: 'c', target_name: CHECKPOINT_TARGET, data: {} })
    const cell = kernel.execute('x')
    kernel.replies()
    expect(kernel.reply(cell).content['status']).toBe('ok')
    expect(kernel.asked[0]?.call).toMatchObject({ call: 'begin_checkpoint', note: 'automatic: after cell 1' })
    place(kernel)
    expect(kernel.lastCommand('checkpoint')).toMatchObject({ exclude: ['tmp*'] })
    const stored = written(kernel)
    const events = kernel.heard.map(({ content }) => content['data'] as { event?: string; checkpoint?: object })
    expect(events.filter((data) => data?.event === 'checkpoint')).toEqual([
      { event: 'checkpoint', checkpoint: { checkpoint_id: stored, state: 'stored' } },
    ])
  })

  test('that become due while one is written are one, and none is made while nothing runs', () => {
    const kernel = new TestKernel({ policy: { cell: true } })
    runs(kernel)
    place(kernel)
    forked(kernel)
    runs(kernel)
    runs(kernel)
    expect(forks(kernel)).toBe(1)
    // Where it may be written to is known before its turn comes.
    place(kernel)
    expect(kernel.asked).toEqual([])
    written(kernel)
    expect(forks(kernel)).toBe(2)
    written(kernel)
    kernel.send('shell', 'is_complete_request', { code: 'x' })
    kernel.says({ kind: 'reply', seq: kernel.lastRequest().seq, status: null }, {}, {})
    expect(forks(kernel)).toBe(2)
  })

  test('hold nothing of the cell that was sent right behind the fork, so that it has one of its own', () => {
    const kernel = new TestKernel({ policy: { cell: true } })
    kernel.execute('first')
    kernel.execute('second')
    kernel.execute('third')
    kernel.replies()
    place(kernel)
    // Its place was there when the second one ended, so the third was sent right behind the fork.
    kernel.replies()
    expect(kernel.told.slice(-2).map(({ command }) => command.kind)).toEqual(['checkpoint', 'request'])
    forked(kernel)
    kernel.replies()
    expect(kernel.state.timeline.cells).toEqual([3])
    place(kernel)
    written(kernel)
    expect(forks(kernel)).toBe(2)
    written(kernel)
  })

  test('follow a cell that has made one itself before it ended', () => {
    const kernel = new TestKernel({ policy: { cell: true } })
    kernel.execute('savepoint.checkpoint()\nx = 1')
    kernel.says({ kind: 'ask', id: 'a', op: 'checkpoint', parent: null, args: { wait: false } })
    place(kernel)
    forked(kernel)
    kernel.replies()
    place(kernel)
    written(kernel)
    expect(forks(kernel)).toBe(2)
  })

  test('that became due while another was written are made although that one failed', () => {
    const kernel = new TestKernel({ policy: { cell: true } })
    runs(kernel)
    place(kernel)
    forked(kernel)
    runs(kernel)
    place(kernel)
    const { checkpoint } = kernel.lastCommand('checkpoint')
    kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint, ms: 3 }, parts: [] })
    kernel.storeFails('storage_failed')
    const parents: unknown[] = []
    while (kernel.asked[0]) {
      const [{ call }] = kernel.asked
      if (call.call === 'begin_checkpoint') parents.push(call.parent)
      place(kernel)
    }
    expect(parents).toEqual([null])
    expect(forks(kernel)).toBe(2)
  })

  test.each(['forked', 'written'])('hold nothing if it fails before it was %s: it comes again by the clock', (step) => {
    const kernel = new TestKernel({ policy: { intervalMs: 300_000 } })
    runs(kernel)
    kernel.expires('auto_interval')
    const checkpoint = place(kernel)
    if (step === 'written') forked(kernel)
    kernel.expires(step === 'forked' ? `forked_writer:${checkpoint}` : `written:${checkpoint}`)
    expect(kernel.state.timeline).toMatchObject({ at: null })
    kernel.expires('auto_interval')
    place(kernel)
    written(kernel)
    expect(forks(kernel)).toBe(2)
  })

  test('that became due while a place was asked for are asked for anew if there was none, once', () => {
    const kernel = new TestKernel({ policy: { cell: true } })
    runs(kernel)
    runs(kernel)
    kernel.storeFails('storage_failed')
    expect(kernel.asked.map(({ call }) => call)).toMatchObject([{ note: 'automatic: after cell 2' }])
    kernel.storeFails('storage_failed')
    expect(kernel.asked).toEqual([])
  })

  test('are sealed although the writer was heard before the fork that made it', () => {
    const kernel = new TestKernel({ policy: { cell: true } })
    runs(kernel)
    const checkpoint = place(kernel)
    kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint, ms: 3 }, parts: [] })
    forked(kernel)
    expect(kernel.asked.map(({ call }) => call)).toMatchObject([{ call: 'seal_checkpoint', checkpoint }])
  })

  test('at rest wait for a rest of the same length where the store had no place', () => {
    const kernel = new TestKernel({ policy: { idleMs: 60_000 } })
    runs(kernel)
    kernel.expires('auto_idle')
    kernel.storeFails('storage_failed')
    expect(kernel.asked).toEqual([])
    expect(kernel.deadlines.get('auto_idle')).toBe(60_000)
  })

  test('wait for the end of an open transaction', () => {
    const kernel = new TestKernel({ policy: { cell: true } })
    kernel.execute('x', { metadata: { savepoint: { transaction: 'explicit' } } })
    kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 5, ms: 1 })
    kernel.replies()
    place(kernel)
    expect(forks(kernel)).toBe(0)
    kernel.execute('%commit')
    kernel.says({ kind: 'ask', id: 'a', op: 'commit', parent: null, args: {} })
    kernel.replies()
    expect(forks(kernel)).toBe(1)
  })

  test.each([
    ['auto_interval', { intervalMs: 300_000 }, 'automatic: every 300 s'],
    ['auto_idle', { idleMs: 60_000 }, 'automatic: at rest'],
  ])('come by the clock %s, once something has run', (clock, policy, note) => {
    const kernel = new TestKernel({ policy })
    expect([...kernel.deadlines.keys()]).not.toContain(clock)
    runs(kernel)
    kernel.expires(clock)
    expect(kernel.asked[0]?.call).toMatchObject({ call: 'begin_checkpoint', note })
    place(kernel)
    written(kernel)
    expect([...kernel.deadlines.keys()]).not.toContain(clock)
  })

  test('that fail are left until something else is due', () => {
    const kernel = new TestKernel({ policy: { cell: true } })
    runs(kernel)
    kernel.storeFails('storage_failed')
    expect(kernel.asked).toEqual([])
    runs(kernel)
    expect(kernel.asked).toHaveLength(1)
  })

  test('are made at the end, as long as a client waits for it', () => {
    const kernel = new TestKernel({ policy: { shutdown: true } })
    runs(kernel)
    kernel.send('control', 'shutdown_request', { restart: false })
    expect(kernel.asked[0]?.call).toMatchObject({ call: 'begin_checkpoint', note: 'automatic: shutdown' })
    place(kernel)
    written(kernel)
    expect(kernel.lastCommand('stop')).toBeDefined()
  })
})

describe('writers of one kernel', () => {
  const create = (kernel: TestKernel, by = 'ann'): string =>
    kernel.send('shell', 'comm_msg', { comm_id: 'c', data: { id: '1', op: 'create', wait: false } }, { by })

  test('wait for each other, as many as may, and the head of one that fails is taken back', () => {
    const kernel = new TestKernel({ limits: { writersWaitingMax: 0 } })
    kernel.send('shell', 'comm_open', { comm_id: 'c', target_name: CHECKPOINT_TARGET, data: {} })
    create(kernel)
    const first = place(kernel)
    kernel.says({ kind: 'forked_writer', checkpoint: first, pid: 7, pause_ms: 1 })
    const second = create(kernel)
    const refused = kernel.heard.find(({ parent, type }) => parent === second && type === 'comm_msg')
    expect(refused?.content['data']).toMatchObject({ ok: false, error: { code: 'queue_full' } })
    const cancel = { id: '2', op: 'cancel', checkpoint: first }
    kernel.send('shell', 'comm_msg', { comm_id: 'c', data: cancel })
    expect(kernel.did('cancel_writer')).toEqual([{ do: 'cancel_writer', checkpoint: first }])
    expect(kernel.state.timeline.at).toBeNull()
  })

  test('are given up at once, although the request that waits for one has the turn', () => {
    const kernel = new TestKernel()
    const data = { op: 'create' }
    kernel.deliver({ on: 'op', id: 'o1', target: CHECKPOINT_TARGET, data, by: 'rest', waitMs: 100 })
    const checkpoint = place(kernel)
    kernel.says({ kind: 'forked_writer', checkpoint, pid: 7, pause_ms: 1 })
    const cancel = { op: 'cancel', checkpoint }
    kernel.deliver({ on: 'op', id: 'o2', target: CHECKPOINT_TARGET, data: cancel, by: 'rest', waitMs: 100 })
    const outcomes = kernel
      .did('answer')
      .map(({ id, outcome }) => [id, outcome.ok ? outcome.result : outcome.error.code])
    expect(Object.fromEntries(outcomes)).toEqual({ o1: 'cancelled', o2: { cancelled: true } })
  })
})
