import { LAST_NOTE } from '../../src/kernel/last-state.js'
import { TestKernel } from '../support/test-kernel.js'

const FOUND = opened(LAST_NOTE)

function opened(note: string | null): object {
  const record = { checkpoint_id: 'cp_1', name: null, note, branch: 'main', created_at: 'then', execution_count: 1 }
  return { record, format: 1, path: '/there', packs: [], root: null, map: null }
}

/** A kernel whose first worker has dialled in, and is to be given `found`. */
function restoring(found: object | null = FOUND): TestKernel {
  const kernel = new TestKernel({ restoreLast: true, head: found && HEAD })
  if (found) kernel.stores(found)
  return kernel
}
const HEAD = { head: 'cp_1', branch: 'main' }

function restored(kernel: TestKernel, more: object = {}): void {
  const { id } = kernel.lastCommand('restore')
  kernel.says({ kind: 'restored', id, restored: 1, lost: [], warnings: [], ms: 1, ...more })
}

/** Runs a cell to its end; what its reply warns of. */
function warnings(kernel: TestKernel): unknown {
  const cell = kernel.execute('x')
  kernel.replies()
  return kernel.report(cell)['warnings']
}

describe('the state of the last process', () => {
  test('is restored before the first request', () => {
    const kernel = restoring()
    const cell = kernel.execute('x')
    expect(kernel.conversation(cell)).toEqual([])
    expect(kernel.lastCommand('restore')).toMatchObject({ path: '/there', mode: 'merge' })
    restored(kernel)
    kernel.replies()
    expect(kernel.report(cell)['warnings']).toEqual([])
  })

  test('may not be there', () => {
    expect(warnings(restoring(null))).toEqual([])
  })

  test('is named when it is not that of the end, and so is what it lacks, in the first reply alone', () => {
    const kernel = restoring(opened(null))
    restored(kernel, { lost: [{ name: 'f', type: 'file', reason: 'gone' }], warnings: ['Older.'] })
    expect(warnings(kernel)).toEqual([
      'The last process saved nothing at its end: this is the state of then.',
      'Older.',
      "'f' could not be restored: gone.",
    ])
    expect(warnings(kernel)).toEqual([])
  })

  test('does not keep the kernel from starting when the file is damaged', () => {
    const kernel = new TestKernel({ restoreLast: true, head: HEAD })
    kernel.storeFails('damaged_checkpoint')
    expect(kernel.did('fork')).toHaveLength(1)
    expect(warnings(kernel)).toEqual([expect.stringContaining('damaged_checkpoint')])
  })

  test('does not keep the kernel from starting when it cannot be loaded', () => {
    const kernel = restoring()
    restored(kernel, { error: { code: 'restore_failed', message: 'No.', details: {} } })
    expect(kernel.did('fork')).toHaveLength(1)
    expect(warnings(kernel)).toEqual([expect.stringContaining('restore_failed: No.')])
  })

  test.each<[string, (kernel: TestKernel) => void]>([
    ['kills the worker', (kernel) => kernel.dies()],
    ['does not end', (kernel) => kernel.expires('restored:')],
  ])('costs a worker when loading it %s, and not the kernel', (_how, happens) => {
    const kernel = restoring()
    const cell = kernel.execute('x')
    happens(kernel)
    expect(kernel.did('fork')).toHaveLength(2)
    kernel.replies()
    expect(kernel.reply(cell).content['status']).toBe('ok')
    expect(kernel.report(cell)['warnings']).toHaveLength(1)
    expect(kernel.exit).toBeNull()
  })

  test('is neither waited for nor replaced by a process that ends before it has it', () => {
    const kernel = restoring()
    kernel.send('control', 'shutdown_request', { restart: false })
    expect(kernel.lastCommand('stop')).toBeDefined()
    expect(kernel.asked).toEqual([])
  })

  test.each<[string, (kernel: TestKernel) => void]>([
    ['could not be restored', (k) => restored(k, { error: { code: 'restore_failed', message: 'No.', details: {} } })],
    [
      'died with its worker and cannot be restored again',
      (k) => [restored(k), k.execute('1'), k.dies(), k.stores({ items: [] }), k.storeFails('damaged_checkpoint')],
    ],
  ])('is kept beside that of an end if it %s', (_why, happens) => {
    const kernel = new TestKernel({ restoreLast: true, recover: true, head: HEAD })
    kernel.stores(FOUND)
    happens(kernel)
    kernel.send('control', 'shutdown_request', { restart: true })
    kernel.stores({ checkpoint_id: 'cp_2', path: '/here' })
    kernel.says({ kind: 'forked_writer', checkpoint: 'cp_2', pid: 7, pause_ms: 1 })
    kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint: 'cp_2', ms: 3 }, parts: [] })
    kernel.stores({ checkpoint_id: 'cp_2' })
    expect(kernel.asked).toEqual([])
    expect(kernel.lastCommand('stop')).toBeDefined()
  })
})

describe('the end of a process', () => {
  function ending(): TestKernel {
    const kernel = restoring(null)
    kernel.send('control', 'shutdown_request', { restart: true })
    return kernel
  }

  test('saves the state, removes what earlier ends saved, then stops', () => {
    const kernel = ending()
    expect(kernel.asked[0]?.call).toMatchObject({ call: 'begin_checkpoint', name: null, note: LAST_NOTE })
    kernel.stores({ checkpoint_id: 'cp_2', path: '/here' })
    kernel.says({ kind: 'forked_writer', checkpoint: 'cp_2', pid: 7, pause_ms: 1 })
    kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint: 'cp_2', ms: 3 }, parts: [] })
    kernel.stores({ checkpoint_id: 'cp_2' })
    expect(kernel.asked[0]?.call).toEqual({ call: 'prune_checkpoints', note: LAST_NOTE, keep: 'cp_2' })
    expect(kernel.told.some(({ command }) => command.kind === 'stop')).toBe(false)
    kernel.stores(null)
    expect(kernel.lastCommand('stop')).toBeDefined()
  })

  test.each<[string, (kernel: TestKernel) => void]>([
    ['takes too long', (kernel) => kernel.expires('last_saved')],
    ['fails', (kernel) => kernel.storeFails('storage_failed')],
  ])('goes on when saving %s', (_how, happens) => {
    const kernel = ending()
    happens(kernel)
    expect(kernel.lastCommand('stop')).toBeDefined()
    kernel.dies({ code: 0, signal: null })
    kernel.deliver({ on: 'workers_stopped' })
    expect(kernel.exit).toBe(0)
  })

  test('goes on when the worker dies while it is saved', () => {
    const kernel = ending()
    kernel.stores({ checkpoint_id: 'cp_2', path: '/here' })
    kernel.dies()
    expect(kernel.did('stop_workers')).toHaveLength(1)
  })
})
