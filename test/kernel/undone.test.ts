import { TRANSACTION_TARGET } from '../../src/kernel/comms.js'
import { undoneWords } from '../../src/kernel/undone.js'
import type { ExternalEffect } from '../../src/link/protocol.js'
import { TestKernel } from '../support/test-kernel.js'

const RECORDS = { file_bytes_max: 1, bytes_max: 2, end_processes: false }
const WRITTEN: ExternalEffect = { kind: 'file_written', target: 'a', restored: true }
const POLICY = { savepoint: { transaction: 'rollback_on_failure' } }

function recording(): TestKernel {
  const kernel = new TestKernel({ records: RECORDS })
  kernel.send('shell', 'comm_open', { comm_id: 't', target_name: TRANSACTION_TARGET, data: {} })
  return kernel
}

function ask(kernel: TestKernel, data: object): string {
  return kernel.send('shell', 'comm_msg', { comm_id: 't', data: { id: '1', ...data } })
}

function begin(kernel: TestKernel): void {
  ask(kernel, { op: 'begin' })
  kernel.says({ kind: 'taken', snapshot: kernel.lastCommand('snapshot').permit.snapshot, pid: 500, ms: 1 })
}

function resultOf(kernel: TestKernel, request: string): Record<string, unknown> | undefined {
  const data = kernel.heard.find((each) => each.parent === request && each.type === 'comm_msg')?.content['data']
  return (data as { result: Record<string, unknown> } | undefined)?.result
}

describe('what a transaction does outside of the process', () => {
  test('is noted from its begin to its commit, each under a number of its own', () => {
    const kernel = recording()
    begin(kernel)
    expect(kernel.lastCommand('snapshot').permit.record).toEqual({ ...RECORDS, recording: 0 })
    begin(kernel)
    ask(kernel, { op: 'commit' })
    expect(kernel.told.some(({ command }) => command.kind === 'effects')).toBe(false)
    ask(kernel, { op: 'commit' })
    expect(kernel.lastCommand('effects')).toEqual({ kind: 'effects', record: false, recording: 0 })
    begin(kernel)
    expect(kernel.lastCommand('snapshot').permit.record).toEqual({ ...RECORDS, recording: 1 })
  })

  test('is undone by the copy that is woken, and told with the result of the rollback', () => {
    const kernel = recording()
    begin(kernel)
    const request = ask(kernel, { op: 'rollback' })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: ['a socket'] })
    expect(kernel.lastCommand('welcome').woken).toMatchObject({ undo: true, limits: ['a socket'] })
    expect(resultOf(kernel, request)).toBeUndefined()
    kernel.says({ kind: 'undone', snapshot: 'sn_1', effects: [WRITTEN], limits: ['database x'] })
    expect(resultOf(kernel, request)).toMatchObject({ effects: [WRITTEN], limits: ['a socket', 'database x'] })
  })

  test('is told in the reply of a cell with a policy, also when its worker died', () => {
    for (const dies of [false, true]) {
      const kernel = recording()
      const request = kernel.execute('x', { metadata: POLICY })
      kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 500, ms: 1 })
      if (dies) {
        kernel.deliver({
          on: 'worker_died',
          generation: 1,
          cause: { code: null, signal: { name: 'SIGKILL', number: 9 } },
        })
      } else {
        kernel.replies('error')
        kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
      }
      kernel.says({ kind: 'undone', snapshot: 'sn_1', effects: [WRITTEN], limits: [] })
      const reply = kernel.heard.find((each) => each.parent === request && each.type === 'execute_reply')
      expect(reply?.metadata['savepoint']).toMatchObject({
        transaction: { outcome: 'rolled_back', effects: [WRITTEN] },
      })
    }
  })

  test('is not waited for for ever', () => {
    const kernel = recording()
    begin(kernel)
    const request = ask(kernel, { op: 'rollback' })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    kernel.expires('undone:')
    expect(resultOf(kernel, request)).toMatchObject({
      state: 'rolled_back',
      effects: [],
      limits: ['files, of which the worker did not say in time whether they were put back'],
    })
  })

  test('is lost with a copy that dies while it undoes it', () => {
    const kernel = recording()
    begin(kernel)
    ask(kernel, { op: 'rollback' })
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    kernel.deliver({ on: 'worker_died', generation: 2, cause: { code: 1, signal: null } })
    expect(kernel.deadlines.size).toBeLessThanOrEqual(1)
    expect(kernel.state.transactions).toEqual([])
  })

  test('is neither noted nor waited for where that is not wanted', () => {
    const kernel = new TestKernel()
    kernel.execute('x', { metadata: POLICY })
    expect(kernel.lastRequest().permit).not.toHaveProperty('record')
    kernel.says({ kind: 'taken', snapshot: 'sn_1', pid: 500, ms: 1 })
    kernel.replies('error')
    kernel.says({ kind: 'handed_over', snapshot: 'sn_1', limits: [] })
    expect(kernel.lastCommand('welcome').woken).not.toHaveProperty('undo')
    expect(kernel.state.turn).toBeNull()
  })

  test('is summed up in a few words', () => {
    const left: ExternalEffect = { kind: 'process_started', target: 'ls', restored: false }
    expect(undoneWords([])).toBe('')
    expect(undoneWords([WRITTEN])).toBe('; 1 file restored')
    expect(undoneWords([WRITTEN, WRITTEN, { ...WRITTEN, restored: false }, left, left])).toBe(
      '; 2 files restored; 1 file not restored; 2 other effects left',
    )
  })
})
