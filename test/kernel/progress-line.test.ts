/** How far a checkpoint is, for the person whose cell waits for it. */

import { TestKernel } from '../support/test-kernel.js'

function saving(args: object): { kernel: TestKernel; id: string } {
  const kernel = new TestKernel()
  const id = kernel.send('shell', 'execute_request', { code: '%checkpoint' })
  kernel.says({ kind: 'ask', id: 'a', op: 'checkpoint', parent: id, args: { name: null, ...args } })
  kernel.stores({ checkpoint_id: 'cp_1', path: '/there' })
  kernel.says({ kind: 'forked_writer', checkpoint: 'cp_1', pid: 7, pause_ms: 1.5 })
  return { kernel, id }
}

function progress(kernel: TestKernel, done_bytes: number, total_bytes: number | null, variable: string | null): void {
  const event = { kind: 'writing', checkpoint: 'cp_1', done_bytes, total_bytes, variable } as const
  kernel.deliver({ on: 'writer', event, parts: [] })
}

function printed(kernel: TestKernel, id: string): readonly unknown[] {
  return kernel.heard
    .filter(({ parent, type }) => parent === id && type === 'stream')
    .map(({ content }) => content['text'])
}

test('is a line that renews itself, and is gone when the checkpoint is stored', () => {
  const { kernel, id } = saving({ progress: true })
  progress(kernel, 0, null, 'a_name')
  progress(kernel, 25_000_000, 100_000_000, null)
  const first = 'Saving: 0.0 MB, at a_name'
  const second = 'Saving: 25.0 MB of 100.0 MB (25 %)'
  expect(printed(kernel, id)).toEqual([`\r${first}`, `\r${second}`])
  kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint: 'cp_1', ms: 80 }, parts: [] })
  kernel.stores({ checkpoint_id: 'cp_1', state: 'stored' })
  expect(printed(kernel, id).at(-1)).toBe(`\r${' '.repeat(second.length)}\r`)
})

test('is gone when the checkpoint fails', () => {
  const { kernel, id } = saving({ progress: true })
  progress(kernel, 1, null, null)
  const event = { kind: 'write_failed', checkpoint: 'cp_1', reason: 'disk full' } as const
  kernel.deliver({ on: 'writer', event, parts: [] })
  expect(printed(kernel, id)).toEqual(['\rSaving: 0.0 MB', `\r${' '.repeat(14)}\r`])
})

test('is not shown to a cell that did not ask for it, nor for what is quick', () => {
  const { kernel, id } = saving({})
  progress(kernel, 1, 2, 'x')
  expect(printed(kernel, id)).toEqual([])
  const quick = saving({ progress: true })
  quick.kernel.deliver({ on: 'writer', event: { kind: 'written', checkpoint: 'cp_1', ms: 80 }, parts: [] })
  quick.kernel.stores({ checkpoint_id: 'cp_1', state: 'stored' })
  expect(printed(quick.kernel, quick.id)).toEqual([])
})
