import { TRANSACTION_TARGET } from '../../src/kernel/comms.js'
import { TestKernel } from '../support/test-kernel.js'

const LOST = { name: 'gen', type: 'generator', reason: 'it cannot be pickled' }

/** A kernel with an open transaction whose begin can only come back in another process. */
function open(kernel = new TestKernel()): TestKernel {
  kernel.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
  send(kernel, { op: 'begin' })
  kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 501, ms: 0.5, mode: 'transplant', why: 'So.', hangs: ['polars'] })
  return kernel
}

function send(kernel: TestKernel, data: object): string {
  return kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', ...data } })
}

/** Rolls back, as far as the copy that saves itself. */
function rollback(kernel: TestKernel, fields: object = {}): string {
  const request = send(kernel, { op: 'rollback', ...fields })
  kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: ['a socket'] })
  const permit = kernel.lastCommand('welcome').woken?.permit
  expect(permit?.snapshot).toBe('sn_1')
  kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 502, ms: 0.5, mode: 'transplant', hangs: ['polars'] })
  return request
}

function reserve(kernel: TestKernel): void {
  kernel.stores({ checkpoint_id: 'cp_9', path: '/scratch' })
}

function written(kernel: TestKernel, lost: readonly object[] = []): void {
  kernel.says({ kind: 'forked_writer', checkpoint: 'cp_9', pid: 9, pause_ms: 1 })
  kernel.deliver({
    on: 'writer',
    event: { kind: 'written', checkpoint: 'cp_9', ms: 1 },
    parts: [Buffer.from(JSON.stringify({ lost }))],
  })
}

function restored(kernel: TestKernel, more: object = {}): void {
  const { id } = kernel.lastCommand('restore')
  kernel.says({ kind: 'restored', id, restored: 1, lost: [], warnings: [], ms: 1, ...more })
}

function limits(kernel: TestKernel, request: string): readonly string[] {
  const found = kernel.heard.find((each) => each.parent === request && each.type === 'comm_msg')
  if (!found) throw new Error('There is no answer.')
  return (found.content['data'] as { result: { limits: readonly string[] } }).result.limits
}

/** The generation, and what is held for it. */
function standing(kernel: TestKernel): object {
  const { generation, phase, snapshots, worker } = kernel.state
  return { generation, phase, snapshots: [...snapshots.keys()], from: worker?.snapshot }
}

const abandoned = (kernel: TestKernel): number =>
  kernel.asked.filter(({ call }) => call.call === 'abandon_checkpoint').length

describe('a copy in which a library would hang', () => {
  test('hands its variables to a fresh worker', () => {
    const kernel = open()
    const request = rollback(kernel)
    reserve(kernel)
    expect(kernel.lastCommand('checkpoint')).toMatchObject({ path: '/scratch', exclude: [], whole_session: true })
    const copy = kernel.state.worker?.pid
    written(kernel)
    expect(kernel.did('kill').at(-1)).toEqual({ do: 'kill', pid: copy })
    expect(kernel.lastCommand('restore')).toMatchObject({ path: '/scratch', mode: 'clear', whole_session: true })
    restored(kernel)
    expect(limits(kernel, request)).toEqual([expect.stringContaining('polars')])
    expect(standing(kernel)).toEqual({ generation: 3, phase: 'idle', snapshots: [], from: null })
    expect(abandoned(kernel)).toBe(1)
  })

  test('stays the worker if a variable would be lost, and what may hang is named', () => {
    const kernel = open()
    const request = rollback(kernel)
    reserve(kernel)
    written(kernel, [LOST])
    const [limit] = limits(kernel, request)
    expect(limit).toContain('calls of polars, which may hang')
    expect(limit).toContain("'gen' (generator)")
    expect(standing(kernel)).toEqual({ generation: 2, phase: 'idle', snapshots: [], from: 'sn_1' })
    expect(abandoned(kernel)).toBe(1)
  })

  test('goes without a result that cannot be saved, which is named', () => {
    const kernel = open()
    const request = rollback(kernel)
    reserve(kernel)
    written(kernel, [{ ...LOST, name: '_7' }])
    restored(kernel)
    expect(limits(kernel, request)).toEqual([
      expect.stringContaining('polars'),
      expect.stringContaining('the result _7'),
    ])
  })

  test.each([
    ['is woken again if the fresh worker cannot load a variable', { lost: [LOST] }],
    [
      'is woken again if the fresh worker cannot load anything',
      { error: { code: 'damaged_checkpoint', message: 'No.', details: {} } },
    ],
  ])('%s', (_, outcome) => {
    const kernel = open()
    const request = rollback(kernel)
    reserve(kernel)
    written(kernel)
    const fresh = kernel.state.worker?.pid
    restored(kernel, outcome)
    expect(kernel.did('kill').at(-1)).toEqual({ do: 'kill', pid: fresh })
    expect(kernel.did('wake')).toHaveLength(2)
    expect(limits(kernel, request)).toEqual([expect.stringContaining('calls of polars, which may hang')])
    expect(standing(kernel)).toEqual({ generation: 4, phase: 'idle', snapshots: [], from: 'sn_1' })
  })

  test('is woken again if the fresh worker dies', () => {
    const kernel = open()
    rollback(kernel)
    reserve(kernel)
    written(kernel)
    kernel.dies({ code: 1, signal: null })
    expect(standing(kernel)).toEqual({ generation: 4, phase: 'idle', snapshots: [], from: 'sn_1' })
  })

  test('that dies while it saves itself is woken again', () => {
    const kernel = open()
    rollback(kernel)
    reserve(kernel)
    kernel.dies({ code: 1, signal: null })
    expect(standing(kernel)).toEqual({ generation: 3, phase: 'idle', snapshots: [], from: 'sn_1' })
  })

  test('closes the comms of the process that is gone', () => {
    const kernel = new TestKernel()
    kernel.send('shell', 'comm_open', { comm_id: 'w', target_name: 'widget', data: {} })
    kernel.replies()
    open(kernel)
    const request = rollback(kernel)
    reserve(kernel)
    written(kernel)
    restored(kernel)
    const closed = kernel.heard.filter(({ type }) => type === 'comm_close').map(({ content }) => content['comm_id'])
    expect(closed).toEqual(['w'])
    expect(limits(kernel, request)).toContain('1 open comm, which was closed')
  })
})

describe('a copy in which a library would hang, and that had to go on', () => {
  /** The worker was woken in the middle of a cell, which is over. */
  function rested(): TestKernel {
    const kernel = new TestKernel()
    kernel.execute('x')
    kernel.says({ kind: 'hangs', libraries: ['polars'] })
    expect(kernel.told.some(({ command }) => command.kind === 'snapshot')).toBe(false)
    kernel.replies()
    return kernel
  }

  function taken(kernel: TestKernel): void {
    const { snapshot } = kernel.lastCommand('snapshot').permit
    kernel.says({ kind: 'taken', snapshot, pid: 501, ms: 0.5, mode: 'transplant', hangs: ['polars'] })
  }

  test('hands its variables to a fresh worker before anything else is done, and the next reply says so', () => {
    const kernel = rested()
    const cell = kernel.execute('y')
    expect(kernel.state.turn?.request.moves).toBe(true)
    taken(kernel)
    reserve(kernel)
    written(kernel)
    restored(kernel)
    expect(standing(kernel)).toMatchObject({ generation: 2, phase: 'busy', snapshots: [], from: null })
    kernel.replies()
    expect(kernel.report(cell)['warnings']).toEqual([expect.stringContaining('polars')])
  })

  test('stays if something would be lost, and that is tried once', () => {
    const kernel = rested()
    taken(kernel)
    reserve(kernel)
    written(kernel, [LOST])
    expect(standing(kernel)).toMatchObject({ generation: 1, phase: 'idle', snapshots: [] })
    kernel.says({ kind: 'hangs', libraries: ['polars'] })
    kernel.execute('y')
    kernel.replies()
    expect(standing(kernel)).toMatchObject({ generation: 1, phase: 'idle', snapshots: [] })
  })

  test('stays if no copy can be made of it', () => {
    const kernel = rested()
    const { snapshot } = kernel.lastCommand('snapshot').permit
    kernel.says({ kind: 'taken', snapshot, pid: 0, ms: 0, error: 'no memory' })
    expect(standing(kernel)).toMatchObject({ generation: 1, phase: 'idle', snapshots: [] })
  })

  test('is woken again if the fresh worker dies', () => {
    const kernel = rested()
    taken(kernel)
    reserve(kernel)
    written(kernel)
    kernel.dies({ code: 1, signal: null })
    expect(standing(kernel)).toMatchObject({ generation: 3, phase: 'idle', snapshots: [] })
  })
})
