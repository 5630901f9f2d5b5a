import { CHECKPOINT_TARGET } from '../../src/kernel/comms.js'
import { TestKernel } from '../support/test-kernel.js'

const OPENED = {
  record: { checkpoint_id: 'cp_1', name: null, note: null, branch: 'side', created_at: 'then', execution_count: 1 },
  format: 2,
  path: '/m',
  packs: ['/p'],
  root: Buffer.from('{}'),
  map: Buffer.alloc(51),
}

type Options = ConstructorParameters<typeof TestKernel>[0]

/** A kernel that has been told to load `cp_1`, and the request; the way back is frozen unless said otherwise. */
function loading({ copied = true, ...options }: Options & { copied?: boolean } = {}): {
  kernel: TestKernel
  id: string
} {
  const kernel = new TestKernel(options)
  kernel.send('shell', 'comm_open', { comm_id: 'c', target_name: CHECKPOINT_TARGET, data: {} })
  const data = { id: '1', op: 'restore', checkpoint: 'some' }
  const id = kernel.send('shell', 'comm_msg', { comm_id: 'c', data })
  kernel.stores(OPENED)
  if (copied) kernel.says({ kind: 'taken', snapshot: permitted(kernel), pid: 5, ms: 1 })
  return { kernel, id }
}

function permitted(kernel: TestKernel): string {
  return kernel.lastCommand('restore').permit?.snapshot ?? ''
}

function restored(kernel: TestKernel, error?: string): void {
  const { id } = kernel.lastCommand('restore')
  const failure = error === undefined ? {} : { error: { code: error, message: 'No.', details: {} } }
  kernel.says({ kind: 'restored', id, restored: 1, lost: [], warnings: [], ms: 9, ...failure })
}

function answer(kernel: TestKernel, id: string): { ok: boolean; result?: object; error?: { code: string } } {
  const found = kernel.heard.find(({ parent, type }) => parent === id && type === 'comm_msg')
  return found?.content['data'] as ReturnType<typeof answer>
}

describe('a restore', () => {
  test('hands the worker root and map, gives up its copy when it is done, and moves the head', () => {
    const { kernel, id } = loading()
    const { command, parts } = kernel.told.findLast((told) => told.command.kind === 'restore') ?? {}
    expect(command).toMatchObject({ format: 2, packs: ['/p'], mode: 'clear' })
    expect(parts).toEqual([OPENED.root, OPENED.map])
    restored(kernel)
    expect(answer(kernel, id)).toMatchObject({ ok: true, result: { checkpoint_id: 'cp_1', restore_ms: 9 } })
    expect([...kernel.state.snapshots.keys()]).toEqual([])
    expect(kernel.heads).toEqual([{ head: 'cp_1', branch: 'side' }])
  })

  test('that a task asks for between two cells keeps the next one waiting', () => {
    const kernel = new TestKernel()
    kernel.execute('task')
    kernel.replies()
    kernel.says({ kind: 'ask', id: 'a', op: 'restore', parent: null, args: { checkpoint: 'some' } })
    kernel.stores(OPENED)
    const requests = (): number => kernel.told.filter(({ command }) => command.kind === 'request').length
    const cell = kernel.execute('x')
    expect(requests()).toBe(1)
    restored(kernel)
    expect(requests()).toBe(2)
    kernel.replies()
    expect(kernel.reply(cell).content['status']).toBe('ok')
  })

  test.each<[string, string, (kernel: TestKernel) => void]>([
    ['fails', 'restore_failed', (kernel) => restored(kernel, 'restore_failed')],
    ['ends the process', 'restore_failed', (kernel) => kernel.dies()],
    ['does not end', 'timeout', (kernel) => kernel.expires('restored:')],
    ['is interrupted', 'cancelled', (kernel) => kernel.deliver({ on: 'interrupt' })],
  ])('that %s brings the copy back', (_how, code, happens) => {
    const { kernel, id } = loading()
    happens(kernel)
    if (code === 'restore_failed' && kernel.state.worker) {
      const last = kernel.told.at(-1)?.command
      if (last?.kind === 'hand_over') kernel.says({ kind: 'handed_over', snapshot: last.snapshot, limits: [] })
    }
    expect(answer(kernel, id).error?.code).toBe(code)
    expect(kernel.did('wake')).toHaveLength(1)
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 2, restoring: null })
    expect(kernel.heads).toEqual([])
    expect([...kernel.state.snapshots.keys()]).toEqual([])
    kernel.execute('x')
    kernel.replies()
    expect(kernel.exit).toBeNull()
  })

  test('that is refused before anything is loaded leaves the process alone', () => {
    const { kernel, id } = loading()
    restored(kernel, 'damaged_checkpoint')
    expect(answer(kernel, id).error?.code).toBe('damaged_checkpoint')
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 1 })
    expect(kernel.did('wake')).toEqual([])
  })

  test('needs no copy where there is no room for one; then a process that hangs is ended', () => {
    const { kernel, id } = loading({ copied: false, limits: { snapshotsMax: 0 }, recover: true })
    expect(kernel.lastCommand('restore').permit).toBeUndefined()
    kernel.expires('restored:')
    expect(answer(kernel, id).error?.code).toBe('timeout')
    expect(kernel.did('kill')).toHaveLength(1)
    kernel.dies()
    expect(kernel.state.phase).toBe('idle')
  })

  test('that ends the process where no copy could be made is followed by what recovery gives', () => {
    const { kernel, id } = loading({ copied: false, recover: true })
    kernel.says({ kind: 'taken', snapshot: permitted(kernel), pid: 0, ms: 0, error: 'no memory' })
    kernel.dies()
    expect(answer(kernel, id).error?.code).toBe('restore_failed')
    expect(kernel.state).toMatchObject({ phase: 'idle', generation: 2 })
  })
})
