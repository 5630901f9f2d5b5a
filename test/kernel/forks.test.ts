import { TRANSACTION_TARGET } from '../../src/kernel/comms.js'
import type { KernelEvent } from '../../src/kernel/effects.js'
import { knownHead, UNMOVED } from '../../src/kernel/timeline.js'
import { bytes } from '../support/messages.js'
import { TestKernel } from '../support/test-kernel.js'

type Outcome = Extract<KernelEvent, { on: 'kernels_made' }>['outcome']
const MADE: Outcome = { ok: true, result: { kernels: [{ id: 'a', name: 'python3' }] } }

/** A kernel that can be forked, with an open comm `t` of the gateway's and one of the worker's, `w`. */
function open(options: ConstructorParameters<typeof TestKernel>[0] = {}): TestKernel {
  const kernel = new TestKernel({ forks: true, ...options })
  kernel.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
  const opened = { kind: 'publish', type: 'comm_open', parent: null, comm_id: 'w', target_name: 'widget' } as const
  kernel.says(opened, { comm_id: 'w', target_name: 'widget', data: {} }, {})
  return kernel
}

function ask(kernel: TestKernel, fields: object = {}): string {
  return kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', op: 'fork', ...fields } })
}

/** The result, or the error's code. */
function answer(kernel: TestKernel, request: string): unknown {
  const found = kernel.heard.find((each) => each.parent === request && each.type === 'comm_msg')
  const data = found?.content['data'] as { ok: boolean; result: unknown; error: { code: string } } | undefined
  return data?.ok === true ? data.result : data?.error.code
}

function took(kernel: TestKernel, snapshot: string, error?: string): void {
  kernel.says({ kind: 'taken', snapshot, pid: error === undefined ? 900 : 0, ms: 1, ...(error ? { error } : {}) })
}

function run(kernel: TestKernel, code = 'x'): string {
  const cell = kernel.execute(code)
  kernel.replies()
  return cell
}

const copied = (kernel: TestKernel, name: string, error: string | null = null): void =>
  kernel.deliver({ on: 'copied', name, error })
const made = (kernel: TestKernel, outcome: Outcome = MADE, id = 'fk_1'): void =>
  kernel.deliver({ on: 'kernels_made', id, outcome })

describe('a fork', () => {
  test('freezes a copy that is no child of the worker, and hands it over with what clients know', () => {
    const kernel = open()
    run(kernel)
    const request = ask(kernel)
    expect(kernel.lastCommand('snapshot').permit).toMatchObject({ snapshot: 'fk_1', apart: true })
    took(kernel, 'fk_1')
    const facts = { executionCount: 1, comms: [['w', 'widget']], debugInfo: null, hangs: [], timeline: UNMOVED }
    expect(kernel.did('make_kernels')).toEqual([{ do: 'make_kernels', id: 'fk_1', copies: ['fk_1'], facts }])
    expect(answer(kernel, request)).toBeUndefined()
    made(kernel)
    expect(answer(kernel, request)).toEqual({ kernels: [{ id: 'a', name: 'python3' }] })
    expect(kernel.conversation(request).at(-1)).toBe('iopub status idle')
    expect([kernel.state.forks.size, kernel.state.snapshots.size, kernel.deadlines.size]).toEqual([0, 0, 0])
    expect(kernel.did('discard')).toEqual([])
  })

  test('into many has the copy copied, and waits for all of them', () => {
    const kernel = open()
    ask(kernel, { count: 3 })
    took(kernel, 'fk_1')
    expect(kernel.did('copy').map(({ snapshot, name }) => [snapshot, name])).toEqual([
      ['fk_1', 'fk_1.1'],
      ['fk_1', 'fk_1.2'],
    ])
    copied(kernel, 'fk_1.2')
    expect(kernel.did('make_kernels')).toEqual([])
    copied(kernel, 'fk_1.1')
    expect(kernel.did('make_kernels')[0]?.copies).toEqual(['fk_1', 'fk_1.1', 'fk_1.2'])
  })

  test('at a snapshot copies that, with what was known at that moment', () => {
    const kernel = open()
    run(kernel)
    kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '0', op: 'begin' } })
    took(kernel, 'sn_1')
    const opened = { kind: 'publish', type: 'comm_open', parent: null, comm_id: 'v', target_name: 'late' } as const
    kernel.says(opened, {}, {})
    run(kernel)
    ask(kernel, { at: 'sn_1', count: 2 })
    expect(kernel.did('copy')).toEqual([
      { do: 'copy', snapshot: 'sn_1', name: 'fk_1.1' },
      { do: 'copy', snapshot: 'sn_1', name: 'fk_1.2' },
    ])
    copied(kernel, 'fk_1.1')
    copied(kernel, 'fk_1.2')
    expect(kernel.did('make_kernels')[0]).toMatchObject({
      copies: ['fk_1.1', 'fk_1.2'],
      facts: { executionCount: 1, comms: [['w', 'widget']] },
    })
    made(kernel)
    expect(kernel.state.snapshots.has('sn_1')).toBe(true)
  })

  test.each([
    [{ count: 0 }, 'bad_request'],
    [{ count: 4 }, 'bad_request'],
    [{ count: 1.5 }, 'bad_request'],
    [{ count: '1' }, 'bad_request'],
    [{ at: 'sn_7' }, 'unknown_snapshot'],
    [{ at: 7 }, 'unknown_snapshot'],
    [{ count: null }, 'bad_request'],
  ])('that is wished for as %j is refused with %s', (fields, code) => {
    const kernel = open()
    expect(answer(kernel, ask(kernel, fields))).toBe(code)
    expect(kernel.told.filter(({ command }) => command.kind === 'snapshot')).toEqual([])
    expect(kernel.state.forks.size).toBe(0)
  })

  test('is not to be had of a kernel that nobody makes kernels for', () => {
    expect(answer(...asked(open({ forks: false })))).toBe('not_available')
  })

  test('of which one copy cannot be made leaves none', () => {
    const kernel = open()
    const request = ask(kernel, { count: 3 })
    took(kernel, 'fk_1')
    copied(kernel, 'fk_1.1', 'no memory')
    copied(kernel, 'fk_1.2')
    expect(answer(kernel, request)).toBe('snapshot_failed')
    expect(kernel.did('discard')).toEqual([{ do: 'discard', snapshots: ['fk_1', 'fk_1.1', 'fk_1.2'] }])
    expect(kernel.did('make_kernels')).toEqual([])
  })

  test('of which one kernel cannot be made says why, and leaves no copy', () => {
    const kernel = open()
    const request = ask(kernel)
    took(kernel, 'fk_1')
    made(kernel, { ok: false, error: { code: 'quota_exceeded', message: 'Too many.', details: {} } })
    expect(answer(kernel, request)).toBe('quota_exceeded')
    expect(kernel.did('discard')).toEqual([{ do: 'discard', snapshots: ['fk_1'] }])
  })

  test('that could not be frozen, or not in time, is refused; what comes too late is discarded', () => {
    const kernel = open()
    const failed = ask(kernel)
    took(kernel, 'fk_1', 'no memory')
    expect(answer(kernel, failed)).toBe('snapshot_failed')
    const late = ask(kernel)
    kernel.expires('taken:fk_2')
    expect(answer(kernel, late)).toBe('timeout')
    took(kernel, 'fk_2')
    expect(kernel.did('discard')).toEqual([{ do: 'discard', snapshots: ['fk_2'] }])
    const slow = ask(kernel, { count: 2 })
    took(kernel, 'fk_3')
    kernel.expires('copied:fk_3')
    expect(answer(kernel, slow)).toBe('timeout')
    copied(kernel, 'fk_3.1')
    expect(kernel.did('discard').at(-1)).toEqual({ do: 'discard', snapshots: ['fk_3.1'] })
  })

  test('whose kernels come after everybody has given up ends them', () => {
    const kernel = open()
    const request = ask(kernel)
    took(kernel, 'fk_1')
    kernel.expires('kernels:fk_1')
    expect(answer(kernel, request)).toBe('timeout')
    made(kernel)
    expect(kernel.did('end_kernels')).toEqual([{ do: 'end_kernels', kernels: ['a'] }])
  })

  test('is not held up by the death of the worker once its copy was frozen', () => {
    const kernel = open({ recover: true })
    const request = ask(kernel, { count: 2 })
    took(kernel, 'fk_1')
    kernel.dies()
    copied(kernel, 'fk_1.1')
    made(kernel)
    expect(answer(kernel, request)).toEqual({ kernels: [{ id: 'a', name: 'python3' }] })
  })

  test('is refused when the worker dies before', () => {
    const kernel = open({ recover: true })
    const request = ask(kernel)
    kernel.dies()
    expect(answer(kernel, request)).toBe('kernel_dead')
  })
})

describe('code in the kernel', () => {
  /** Asks for a fork in the middle of a cell, which goes on. */
  function forks(kernel: TestKernel, args: object = {}): string {
    const cell = kernel.execute('fork()')
    kernel.says({ kind: 'ask', id: 'q1', op: 'fork', parent: cell, args: { count: 1, ...args } })
    return cell
  }
  const asksAgain = (kernel: TestKernel): void =>
    kernel.says({ kind: 'ask', id: 'q2', op: 'forked', parent: null, args: { id: 'fk_1' } })

  test('gets a permit first, and the kernels when it asks again', () => {
    const kernel = open()
    forks(kernel)
    expect(kernel.lastCommand('answer')).toMatchObject({
      id: 'q1',
      ok: true,
      result: { id: 'fk_1' },
      permit: { snapshot: 'fk_1', apart: true },
    })
    took(kernel, 'fk_1')
    asksAgain(kernel)
    expect(kernel.lastCommand('answer').id).toBe('q1')
    expect(kernel.did('make_kernels')[0]?.facts.executionCount).toBe(1)
    made(kernel)
    expect(kernel.lastCommand('answer')).toMatchObject({ id: 'q2', ok: true, result: { kernels: [{ id: 'a' }] } })
    expect(kernel.state.forks.size).toBe(0)
  })

  test('may ask when all is done', () => {
    const kernel = open()
    forks(kernel)
    took(kernel, 'fk_1')
    made(kernel)
    asksAgain(kernel)
    expect(kernel.lastCommand('answer')).toMatchObject({ id: 'q2', ok: true })
  })

  test('is told why there are none', () => {
    const kernel = open()
    forks(kernel)
    took(kernel, 'fk_1')
    made(kernel, { ok: false, error: { code: 'quota_exceeded', message: 'Too many.', details: { max: 1 } } })
    asksAgain(kernel)
    const error = { code: 'quota_exceeded', message: 'Too many.', details: { max: 1 } }
    expect(kernel.lastCommand('answer')).toEqual({ kind: 'answer', id: 'q2', ok: false, error })
  })

  test('is refused at once what cannot be', () => {
    const kernel = open()
    forks(kernel, { count: 0 })
    expect(kernel.lastCommand('answer')).toMatchObject({ id: 'q1', ok: false, error: { code: 'bad_request' } })
    expect(kernel.state.forks.size).toBe(0)
  })

  test('that could not be copied learns it by itself, and nothing is kept', () => {
    const kernel = open()
    forks(kernel)
    took(kernel, 'fk_1', 'no memory')
    expect(kernel.state.forks.size).toBe(0)
  })

  test('that is gone when the kernels are there leaves none of them', () => {
    for (const early of [true, false]) {
      const kernel = open({ recover: true })
      forks(kernel)
      took(kernel, 'fk_1')
      if (early) made(kernel)
      kernel.dies()
      if (!early) made(kernel)
      expect([early, kernel.did('end_kernels')]).toEqual([early, [{ do: 'end_kernels', kernels: ['a'] }]])
      expect(kernel.state.forks.size).toBe(0)
    }
  })
})

describe('a kernel that is a fork', () => {
  const forked = {
    snapshot: 'fk_1.2',
    executionCount: 7,
    comms: [['w', 'widget']] as const,
    debugInfo: bytes({ isStarted: false }),
    hangs: [],
    timeline: { at: { head: 'cp_1', branch: 'try' }, cells: [] },
  }

  test('begins with the copy as its worker, and with what clients knew', () => {
    const kernel = new TestKernel({ forked, dials: false })
    kernel.deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok' }) })
    expect(kernel.did('become')).toEqual([{ do: 'become', snapshot: 'fk_1.2' }])
    expect(kernel.did('fork')).toEqual([])
    kernel.deliver({ on: 'worker_up', token: kernel.state.worker?.token ?? '', pid: 42 })
    expect(kernel.lastCommand('welcome')).toMatchObject({
      execution_count: 8,
      woken: { reason: 'requested', resume: false, inputs: [] },
    })
    expect(kernel.state.phase).toBe('idle')
    const info = kernel.send('shell', 'comm_info_request', {})
    expect(kernel.reply(info).content['comms']).toEqual({ w: { target_name: 'widget' } })
    kernel.execute('x')
    expect(kernel.lastRequest().execution_count).toBe(8)
    expect(knownHead(kernel.state)).toEqual({ head: 'cp_1', branch: 'try' })
  })

  test('says with its first reply what it is without', () => {
    const kernel = new TestKernel({ forked, dials: false })
    kernel.deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok' }) })
    kernel.deliver({ on: 'worker_up', token: kernel.state.worker?.token ?? '', pid: 42 })
    kernel.says({ kind: 'left_behind', limits: ['1 open socket', "the thread 'a'"] })
    const first = run(kernel)
    const second = run(kernel)
    const warning = "Not in this fork of the kernel: 1 open socket, the thread 'a'."
    expect([kernel.report(first)['warnings'], kernel.report(second)['warnings']]).toEqual([[warning], []])
  })

  test('in which a library would hang moves its variables to a fresh worker, or says which calls may hang', () => {
    for (const works of [true, false]) {
      const kernel = new TestKernel({ forked: { ...forked, hangs: ['polars'] }, dials: false })
      kernel.deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok' }) })
      kernel.deliver({ on: 'worker_up', token: kernel.state.worker?.token ?? '', pid: 42 })
      const first = kernel.execute('x')
      if (works) {
        kernel.stores({ checkpoint_id: 'cp_1', path: '/p' })
        kernel.says({ kind: 'forked_writer', checkpoint: 'cp_1', pid: 9, pause_ms: 1 })
        const event = { kind: 'written', checkpoint: 'cp_1', ms: 1 } as const
        kernel.deliver({ on: 'writer', event, parts: [bytes({ lost: [] })] })
        expect(kernel.did('kill')).toEqual([{ do: 'kill', pid: 42 }])
        kernel.deliver({ on: 'worker_up', token: kernel.state.worker?.token ?? '', pid: 43 })
        const { id } = kernel.lastCommand('restore')
        kernel.says({ kind: 'restored', id, restored: 1, lost: [], warnings: [], ms: 1 })
      } else {
        kernel.storeFails('storage_failed')
      }
      kernel.replies()
      const said = JSON.stringify(kernel.report(first)['warnings'])
      expect(said).toContain(works ? 'the process is a new one' : 'calls of polars, which may hang from here on')
      expect(kernel.lastRequest().execution_count).toBe(8)
    }
  })

  test('whose copy is gone, or does not come, has ended before it was there', () => {
    for (const event of [
      { on: 'snapshot_gone', snapshot: 'fk_1.2' },
      { on: 'worker_failed', reason: 'it ended' },
      { on: 'deadline' },
    ] as const) {
      const kernel = new TestKernel({ forked, dials: false })
      kernel.deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok' }) })
      const token = kernel.state.worker?.token ?? ''
      if (event.on === 'deadline') kernel.expires(`up:${token}`)
      else kernel.deliver(event.on === 'worker_failed' ? { ...event, token } : event)
      kernel.deliver({ on: 'workers_stopped' })
      expect([event.on, kernel.exit]).toEqual([event.on, 1])
    }
  })

  test('that loses its worker has an empty one, as any', () => {
    const kernel = new TestKernel({ forked, recover: true, dials: false })
    kernel.deliver({ on: 'zygote_ready', kernelInfo: bytes({ status: 'ok' }) })
    kernel.deliver({ on: 'worker_up', token: kernel.state.worker?.token ?? '', pid: 42 })
    kernel.dies()
    expect(kernel.did('fork')).toHaveLength(1)
    expect(kernel.did('become')).toHaveLength(1)
  })
})

function asked(kernel: TestKernel): [TestKernel, string] {
  return [kernel, ask(kernel)]
}
