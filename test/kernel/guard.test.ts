import { TRANSACTION_TARGET } from '../../src/kernel/comms.js'
import { isMagicAlone } from '../../src/kernel/magic-cells.js'
import { PAGES_OF_ANY_COPY } from '../../src/kernel/snapshots.js'
import { TestKernel } from '../support/test-kernel.js'

const SIGSEGV = { signal: { name: 'SIGSEGV', number: 11 } }

/** A worker that freezes what it may: behind each reply, before a cell, on command, and again when it was woken. */
class GuardedKernel extends TestKernel {
  #heard = 0
  #pids = 500

  constructor(options: ConstructorParameters<typeof TestKernel>[0] = {}) {
    super({ guard: true, recover: true, ...options })
  }

  /** Freezes what was permitted since; `more` is told with it. */
  freeze(more: object = {}): void {
    const commands = this.told.slice(this.#heard)
    this.#heard = this.told.length
    for (const { command } of commands) {
      const permits =
        command.kind === 'request'
          ? [command.refresh, command.guard]
          : command.kind === 'snapshot'
            ? [command.permit]
            : command.kind === 'welcome'
              ? [command.woken?.permit]
              : []
      for (const permit of permits) if (permit) this.took(permit.snapshot, more)
    }
  }

  took(snapshot: string, more: object = {}): void {
    this.#pids += 1
    this.says({ kind: 'taken', snapshot, pid: this.#pids, ms: 1, ...more })
  }

  /** Runs a cell to its end; its msg_id. */
  run(code: string, options: Parameters<TestKernel['execute']>[1] = {}, more: object = {}): string {
    const cell = this.execute(code, options)
    this.replies('ok')
    this.freeze(more)
    return cell
  }

  ask(data: object): Record<string, unknown> {
    if (!this.state.comms.has('t')) {
      this.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
    }
    const request = this.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', ...data } })
    for (let i = 0; i < 4 && this.state.turn !== null; i += 1) {
      const { weigh } = this
      if (weigh) this.deliver({ on: 'weighed', id: weigh.id, bytes: weigh.pids.map(() => 10) })
      this.freeze()
      const handOver = this.told.findLast(({ command }) => command.kind === 'hand_over')?.command
      if (handOver?.kind === 'hand_over') this.says({ kind: 'handed_over', snapshot: handOver.snapshot, limits: [] })
      this.freeze()
    }
    const answers = this.heard.flatMap(({ parent, content }) => (parent === request ? [content['data']] : []))
    const found = answers.find((data) => typeof data === 'object' && data !== null && 'ok' in data)
    const { ok, result, error } = found as { ok: boolean; result: object; error: { code: string } }
    return ok ? { ...result } : { code: error.code }
  }

  get weigh() {
    return this.did('weigh').findLast(({ id }) => this.deadlines.has(id))
  }

  get woken(): string | undefined {
    return this.did('wake').at(-1)?.snapshot
  }

  get past(): readonly (readonly number[])[] {
    return this.state.guard.past.map(({ cells }) => cells)
  }
}

describe('a guarded kernel', () => {
  test('has each cell copied behind its reply, and the first one before it as well', () => {
    const kernel = new GuardedKernel()
    kernel.execute('x = 1')
    expect(kernel.lastRequest()).toMatchObject({ refresh: { snapshot: 'sn_1' }, guard: { snapshot: 'sn_2' } })
    kernel.replies('ok')
    kernel.freeze()
    kernel.execute('x = 2')
    expect(kernel.lastRequest()).toMatchObject({ guard: { snapshot: 'sn_3' } })
    expect(kernel.lastRequest().refresh).toBeUndefined()
    kernel.replies('ok')
    kernel.freeze()
    expect(kernel.past).toEqual([[], [1], [2]])
    expect(kernel.ask({ op: 'status' })).toMatchObject({ undo_depth: 2, redo_depth: 0 })
  })

  test('tells of the latest copy in each reply, and why there is none', () => {
    const kernel = new GuardedKernel()
    kernel.execute('x = 1')
    kernel.took('sn_1')
    const seq = kernel.lastRequest().seq
    kernel.says({ kind: 'reply', seq, status: 'ok' }, { status: 'ok' }, {})
    expect(kernel.report('m1')['guard']).toEqual({ taken: true, ms: 1 })
    kernel.took('sn_2')
    expect(kernel.report(kernel.run('%snapshots'))['guard']).toEqual({ taken: false, skipped: 'unchanged' })
    expect(kernel.report(kernel.run(''))['guard']).toEqual({ taken: false, skipped: 'unchanged' })
    kernel.ask({ op: 'guard', on: false })
    expect(kernel.report(kernel.run('x = 2'))['guard']).toEqual({ taken: false, skipped: 'off' })
    expect(kernel.state.snapshots.size).toBe(0)
  })

  test('keeps a bounded number of moments, the newest', () => {
    const kernel = new GuardedKernel()
    for (let i = 1; i <= 8; i += 1) kernel.run(`x = ${i}`)
    expect(kernel.past).toEqual([[], [6], [7], [8]])
    expect(kernel.state.snapshots.size).toBe(4)
    expect(kernel.state.inputs.map(([count]) => count)).toEqual([6, 7, 8])
  })

  test('gives up moments when a transaction needs the room', () => {
    const kernel = new GuardedKernel({ limits: { snapshotsMax: 4 } })
    for (let i = 1; i <= 4; i += 1) kernel.run(`x = ${i}`)
    expect(kernel.ask({ op: 'begin' })).toMatchObject({ state: 'open' })
    expect(kernel.state.snapshots.size).toBe(4)
    expect(kernel.ask({ op: 'status' })).toMatchObject({ undo_depth: 2 })
    expect(kernel.past).toEqual([[], [3], [4]])
  })

  test('does not count silent cells as steps, and keeps what they changed', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    kernel.run('y = 1', { content: { silent: true } })
    expect(kernel.past).toEqual([[], [1]])
    expect(kernel.state.guard.past.at(-1)?.snapshot).toBe('sn_3')
  })

  test('copies again before a cell what something else may have changed, and at rest', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1', {}, { live: true })
    kernel.execute('x = 2')
    expect(kernel.lastRequest().refresh).toBeDefined()
    kernel.replies('ok')
    kernel.freeze()
    kernel.send('shell', 'comm_msg', { comm_id: 'w', data: {} })
    kernel.replies(null)
    kernel.expires('guard_rest')
    expect(kernel.lastCommand('snapshot')).toBeDefined()
    kernel.freeze()
    expect(kernel.past).toEqual([[], [1], [2]])
  })

  test('lets the cells of a copy that failed count with the next', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    kernel.execute('x = 2')
    kernel.replies('ok')
    kernel.took('sn_3', { error: 'no memory' })
    kernel.execute('x = 3')
    expect(kernel.lastRequest().refresh).toBeDefined()
    kernel.replies('ok')
    kernel.freeze()
    expect(kernel.past.flat()).toEqual([1, 2, 3])
  })

  test('does not begin cells ahead of their turn', () => {
    const kernel = new GuardedKernel()
    kernel.execute('x = 1')
    kernel.execute('x = 2')
    expect(kernel.ahead).toEqual([])
  })
})

describe('undo and redo', () => {
  function ran(cells: number): GuardedKernel {
    const kernel = new GuardedKernel()
    for (let i = 1; i <= cells; i += 1) kernel.run(`x = ${i}`)
    return kernel
  }

  test('go over the moments and forth, which stay', () => {
    const kernel = ran(3)
    expect(kernel.ask({ op: 'undo', n: 2 })).toMatchObject({ undone: [2, 3], undo_depth: 1, redo_depth: 2 })
    expect(kernel.woken).toBe('sn_2')
    expect(kernel.ask({ op: 'redo' })).toMatchObject({ redone: [2], undo_depth: 2, redo_depth: 1 })
    expect(kernel.woken).toBe('sn_3')
    expect(kernel.ask({ op: 'redo', n: 2 })).toEqual({ code: 'nothing_to_redo' })
    expect(kernel.ask({ op: 'undo', n: 3 })).toEqual({ code: 'nothing_to_undo' })
    for (const n of [0, -1, 0.5, '1', true]) expect(kernel.ask({ op: 'undo', n })).toEqual({ code: 'bad_request' })
  })

  test('a new cell forgets what was undone', () => {
    const kernel = ran(2)
    kernel.ask({ op: 'undo' })
    kernel.run('x = 10')
    expect(kernel.ask({ op: 'redo' })).toEqual({ code: 'nothing_to_redo' })
    expect(kernel.past).toEqual([[], [1], [3]])
  })

  test('are refused in a transaction, and without a guard', () => {
    const kernel = ran(1)
    kernel.ask({ op: 'begin' })
    expect(kernel.ask({ op: 'undo' })).toEqual({ code: 'transaction_open' })
    expect(new GuardedKernel({ guard: false }).ask({ op: 'undo' })).toEqual({ code: 'not_available' })
  })

  test('in the middle of a cell undo that cell, and end it', () => {
    const kernel = ran(1)
    const cell = kernel.execute('x = 2\n%undo')
    kernel.says({ kind: 'ask', id: 'a', op: 'undo', parent: cell, args: { n: 1, message: true } })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_2', limits: [] })
    kernel.took('sn_2')
    expect(kernel.woken).toBe('sn_2')
    expect(kernel.reply(cell).content['status']).toBe('ok')
    expect(kernel.conversation(cell).join()).toContain('Undid cell 2 in')
    expect(kernel.past).toEqual([[], [1]])
  })

  test('give up one moment, whose cells count with the next', () => {
    const kernel = ran(3)
    expect(kernel.ask({ op: 'discard', snapshot: 'sn_3' })).toEqual({ discarded: 'sn_3' })
    expect(kernel.ask({ op: 'discard', snapshot: 'sn_3' })).toEqual({ code: 'unknown_snapshot' })
    expect(kernel.past).toEqual([[], [1], [2, 3]])
    const { id } = kernel.ask({ op: 'begin' })
    const begin = kernel.state.transactions.find((each) => each.id === id)?.snapshot
    expect(kernel.ask({ op: 'discard', snapshot: begin })).toEqual({ code: 'transaction_open' })
  })
})

describe('a death under a guard', () => {
  test('in a cell brings back the state before it', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    const cell = kernel.execute('crash')
    const next = kernel.execute('next')
    kernel.dies(SIGSEGV)
    expect(kernel.woken).toBe('sn_2')
    kernel.took('sn_2', { absent: ["thread 'new'"] })
    expect(kernel.reply(cell).content).toMatchObject({ status: 'error', ename: 'WorkerDied' })
    expect(kernel.report(cell)['recovery']).toEqual({
      cause: 'SIGSEGV',
      restored_from: 'guard',
      lost: [],
      background_s: 0,
    })
    expect(kernel.reply(next).content['status']).toBe('aborted')
    expect(kernel.past).toEqual([[], [1]])
    kernel.execute('x = 3')
    expect(kernel.lastRequest().refresh).toBeUndefined()
  })

  test('before the copy of the last cell was made names that cell as lost', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    kernel.execute('x = 2')
    kernel.replies('ok')
    const cell = kernel.execute('crash')
    kernel.dies(SIGSEGV)
    kernel.took('sn_2')
    expect(kernel.report(cell)['recovery']).toMatchObject({ lost: ['what cell 2 did'] })
  })

  test('names threads and connections of the process, and how long something was at work', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1', {}, { live: true, absent: ["thread 'a'"] })
    kernel.now += 2_000
    kernel.dies({ signal: { name: 'SIGKILL', number: 9 } })
    kernel.took('sn_2')
    const told = kernel.heard.filter(({ type }) => type === 'stream').map(({ content }) => String(content['text']))
    expect(told.join('')).toContain("thread 'a'; 2.0 s of work in the background")
  })

  test('keeps transactions that were open, and loses those of the cell', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    kernel.ask({ op: 'begin', name: 'outer' })
    kernel.run('x = 2')
    kernel.execute('savepoint.begin(); crash()')
    kernel.says({ kind: 'ask', id: 'a', op: 'begin', parent: null, args: {} })
    kernel.took(kernel.state.transactions.at(-1)?.snapshot ?? '')
    kernel.dies(SIGSEGV)
    kernel.took(kernel.woken ?? '')
    expect(kernel.state.transactions.map(({ name }) => name)).toEqual(['outer'])
  })

  test('right after a begin goes back to that begin', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    const { id } = kernel.ask({ op: 'begin' })
    const begin = kernel.state.transactions[0]?.snapshot ?? ''
    kernel.dies(SIGSEGV)
    expect(kernel.woken).toBe(begin)
    kernel.took(begin)
    expect(kernel.state.transactions).toMatchObject([{ id, state: 'open' }])
  })

  test('again and again, with nothing to do, goes one moment back, and ends at last', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    const woken: (string | undefined)[] = []
    for (let i = 0; i < 12 && kernel.state.phase === 'idle'; i += 1) {
      const before = kernel.did('wake').length
      kernel.dies(SIGSEGV)
      if (kernel.did('wake').length === before) break
      woken.push(kernel.woken)
      kernel.took(kernel.woken ?? '')
    }
    expect(new Set(woken)).toEqual(new Set(['sn_2', 'sn_1']))
    for (let i = 0; i < 6 && kernel.state.phase === 'idle'; i += 1) kernel.dies(SIGSEGV)
    expect(kernel.state.phase).toBe('stopping')
  })

  test('of a copy that does not wake goes one moment back', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    kernel.dials = false
    const cell = kernel.execute('crash')
    kernel.dies(SIGSEGV)
    kernel.dials = true
    kernel.expires('up:')
    expect(kernel.woken).toBe('sn_1')
    kernel.took('sn_1')
    expect(kernel.reply(cell).content['status']).toBe('error')
  })
})

describe('code that no interrupt reaches', () => {
  const told = (kernel: TestKernel): string =>
    kernel.heard
      .filter(({ type }) => type === 'stream')
      .map(({ content }) => String(content['text']))
      .join('')

  test('is told of, and ended by a second interrupt', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    const cell = kernel.execute('loop')
    kernel.deliver({ on: 'interrupt' })
    kernel.deliver({ on: 'interrupt' })
    expect(kernel.did('kill')).toEqual([])
    kernel.expires('interrupt_noticed')
    expect(told(kernel)).toContain('does not react to an interrupt')
    kernel.deliver({ on: 'interrupt' })
    expect(kernel.did('kill')).toHaveLength(1)
    kernel.dies()
    kernel.took('sn_2')
    expect(kernel.reply(cell).content['evalue']).toContain('did not react to two interrupts')
    expect(kernel.report(cell)['recovery']).toMatchObject({ cause: 'interrupt', restored_from: 'guard' })
  })

  test('is ended when its grace is over', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    kernel.execute('loop')
    kernel.deliver({ on: 'interrupt' })
    kernel.expires('interrupt_noticed')
    kernel.expires('interrupt_noticed')
    expect(kernel.did('kill')).toHaveLength(1)
  })

  test('ends no cell of the worker that has taken its place meanwhile', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    kernel.run('x = 2')
    kernel.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
    kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', op: 'undo' } })
    kernel.deliver({ on: 'interrupt' })
    const { snapshot } = kernel.lastCommand('hand_over')
    kernel.says({ kind: 'handed_over', snapshot, limits: [] })
    kernel.freeze()
    kernel.execute('innocent')
    expect(kernel.state.stubborn).toBeNull()
    expect([...kernel.deadlines.keys()]).not.toContain('interrupt_noticed')
  })

  test('is left alone once it has noticed, or where nothing would bring the state back', () => {
    const noticed = new GuardedKernel()
    noticed.run('x = 1')
    noticed.execute('loop')
    noticed.deliver({ on: 'interrupt' })
    noticed.says({ kind: 'interrupted' })
    expect([...noticed.deadlines.keys()]).not.toContain('interrupt_noticed')
    const bare = new TestKernel()
    bare.execute('loop')
    bare.deliver({ on: 'interrupt' })
    expect([...bare.deadlines.keys()]).not.toContain('interrupt_noticed')
  })
})

describe('pressure', () => {
  const COSTLY = { faults: 262_144, seconds: 0.8, cpu_seconds: 0.8, system_seconds: 0.6 }

  function rewrites(kernel: GuardedKernel, bytes: number): string {
    const cell = kernel.execute('a += 1')
    const { seq } = kernel.lastRequest()
    kernel.says({ kind: 'reply', seq, status: 'ok', ...COSTLY }, { status: 'ok' }, {})
    kernel.freeze()
    const { weigh } = kernel
    if (weigh) kernel.deliver({ on: 'weighed', id: weigh.id, bytes: weigh.pids.map(() => bytes) })
    return cell
  }

  test('makes it step back, more cells each time, and come back', () => {
    const kernel = new GuardedKernel({ limits: { snapshotBytesMax: 1e12 } })
    kernel.run('x = 1')
    rewrites(kernel, 1e9)
    expect(kernel.state.guard).toMatchObject({ phase: 'stepped_back', skip: 8 })
    expect(kernel.state.snapshots.size).toBe(1)
    for (let i = 0; i < 8; i += 1) {
      expect(kernel.report(kernel.run('x = 2'))['guard']).toEqual({ taken: false, skipped: 'pressure' })
    }
    rewrites(kernel, 1e9)
    expect(kernel.state.guard).toMatchObject({ phase: 'stepped_back', skip: 32 })
    const notices = kernel.heard.filter(({ content }) => String(content['text']).includes('steps back'))
    expect(notices).toHaveLength(1)
  })

  test('is not what new memory costs', () => {
    const kernel = new GuardedKernel({ limits: { snapshotBytesMax: 1e12 } })
    kernel.run('x = 1')
    rewrites(kernel, 1e5)
    expect(kernel.state.guard.phase).toBe('on')
  })

  test('of the budget gives up the oldest moments, then refuses begins', () => {
    const kernel = new GuardedKernel({ limits: { snapshotBytesMax: 25 } })
    for (let i = 1; i <= 3; i += 1) kernel.run(`x = ${i}`)
    expect(kernel.ask({ op: 'snapshots' })).toMatchObject({ total_count: 2, budget_bytes: 25 })
    kernel.ask({ op: 'begin' })
    for (const snapshot of kernel.state.snapshots.values()) snapshot.privateBytes = 30
    expect(kernel.ask({ op: 'begin' })).toEqual({ code: 'snapshot_refused' })
  })

  test('of an undo whose copy does not wake leaves the copy of the present to come back from', () => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    kernel.run('x = 2')
    const present = kernel.state.guard.past.at(-1)?.snapshot
    kernel.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
    kernel.dials = false
    kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', op: 'undo' } })
    const { snapshot } = kernel.lastCommand('hand_over')
    kernel.says({ kind: 'handed_over', snapshot, limits: [] })
    kernel.expires('up:')
    kernel.expires('handed_over:')
    expect(kernel.did('wake').map((each) => each.snapshot)).toEqual([snapshot, present])
    expect(kernel.did('fork')).toHaveLength(1)
  })

  test('of all kernels together gives up the oldest moments of this one', () => {
    const kernel = new GuardedKernel()
    for (let i = 1; i <= 3; i += 1) kernel.run(`x = ${i}`)
    for (const snapshot of kernel.state.snapshots.values()) snapshot.privateBytes = 10
    kernel.deliver({ on: 'trim', bytesMax: 15, momentsMin: 0 })
    expect(kernel.ask({ op: 'snapshots' })).toMatchObject({ total_count: 1 })
    expect(kernel.ask({ op: 'undo' })).toEqual({ code: 'nothing_to_undo' })
  })

  test.each<[string, (kernel: GuardedKernel) => void]>([
    ['for the budget', (kernel) => kernel.deliver({ on: 'trim', bytesMax: 0, momentsMin: 0 })],
    [
      'by the system',
      (kernel) => kernel.deliver({ on: 'snapshot_gone', snapshot: kernel.state.guard.past.at(-1)?.snapshot ?? '' }),
    ],
  ])('that takes the newest moment %s is told of with the next reply, once', (_how, happens) => {
    const kernel = new GuardedKernel()
    kernel.run('x = 1')
    happens(kernel)
    const told = [expect.stringContaining('had to go for want of memory')]
    expect(kernel.report(kernel.run('x = 2'))['warnings']).toEqual(told)
    expect(kernel.report(kernel.run('x = 3'))['warnings'] ?? []).toEqual([])
  })

  test('of all kernels together counts what was not measured yet, and leaves the newest moments', () => {
    const kernel = new GuardedKernel()
    for (let i = 1; i <= 4; i += 1) kernel.run(`x = ${i}`)
    expect(kernel.state.guard.past).toHaveLength(4)
    kernel.deliver({ on: 'trim', bytesMax: 3 * PAGES_OF_ANY_COPY * 4096, momentsMin: 2 })
    expect(kernel.state.guard.past).toHaveLength(3)
    kernel.deliver({ on: 'trim', bytesMax: 0, momentsMin: 2 })
    expect(kernel.state.guard.past).toHaveLength(2)
    expect(kernel.state.guard.present).toBe('frozen')
  })
})

test.each([
  ['%undo', true],
  ['  %undo 3\n', true],
  ['# back\n%rollback a', true],
  ['import savepoint\nsavepoint.undo(2)', true],
  ['savepoint.commit()', true],
  ['', false],
  ['x = 1', false],
  ['x = 1\n%undo', false],
  ['%undoing', false],
  ['%time x', false],
  ['import savepoint', false],
  ['%restore a', false],
])('%j holds nothing but magics of ours: %j', (code, isMagic) => {
  expect(isMagicAlone(code)).toBe(isMagic)
})
