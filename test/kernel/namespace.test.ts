import { NAMESPACE_TARGET } from '../../src/kernel/comms.js'
import { TestKernel } from '../support/test-kernel.js'

function asked(data: object): { kernel: TestKernel; id: string } {
  const kernel = new TestKernel()
  kernel.send('shell', 'comm_open', { comm_id: 'n', target_name: NAMESPACE_TARGET, data: {} })
  return { kernel, id: kernel.send('shell', 'comm_msg', { comm_id: 'n', data: { id: '1', ...data } }) }
}

function says(kernel: TestKernel, ...parts: unknown[]): void {
  const { id } = kernel.lastCommand('namespace')
  kernel.says({ kind: 'namespace', id }, ...parts)
}

function answer(kernel: TestKernel, id: string): Record<string, unknown> {
  const found = kernel.heard.find(({ parent, type }) => parent === id && type === 'comm_msg')
  return found?.content['data'] as Record<string, unknown>
}

describe('requests for variables', () => {
  test('greet with what there is', () => {
    const { kernel } = asked({ op: 'list' })
    const [ready] = kernel.heard.filter(({ type }) => type === 'comm_msg')
    expect(ready?.content['data']).toMatchObject({ event: 'ready', ops: ['list', 'get', 'set', 'delete', 'changes'] })
  })

  test('are the worker’s, in their turn, and both ways pass unread', () => {
    const { kernel, id } = asked({ op: 'set', values: { x: 1 }, speed: 5 })
    const next = kernel.execute('x')
    const { command, parts } = kernel.told.findLast((told) => told.command.kind === 'namespace') ?? {}
    expect(command).toMatchObject({ op: 'set' })
    expect(String(parts?.[0])).toContain('"values":{"x":1}')
    expect(kernel.conversation(next)).toEqual([])
    says(kernel, Buffer.from('{"set":[12345678901234567890]}'))
    const effect = kernel.did('publish').find(({ message }) => String(message.contentBytes).includes('1234567890'))
    expect(String(effect?.message.contentBytes)).toContain('"result":{"set":[12345678901234567890]}}}')
    expect(answer(kernel, id)).toMatchObject({
      id: '1',
      op: 'set',
      ok: true,
      warnings: [expect.stringContaining('speed')],
    })
    expect(kernel.conversation(id)).toEqual(['iopub status busy', 'iopub comm_msg', 'iopub status idle'])
    expect(kernel.conversation(next)[0]).toBe('iopub status busy')
  })

  test.each<[string, (kernel: TestKernel) => void, string]>([
    [
      'the worker refuses',
      (k) =>
        k.says({
          kind: 'namespace',
          id: k.lastCommand('namespace').id,
          error: { code: 'bad_request', message: 'No.', details: {} },
        }),
      'bad_request',
    ],
    [
      'the worker fails',
      (k) =>
        k.says({
          kind: 'namespace',
          id: k.lastCommand('namespace').id,
          error: { code: 'odd', message: 'No.', details: {} },
        }),
      'internal',
    ],
    ['it takes too long', (k) => k.expires('namespace:'), 'timeout'],
    ['the worker dies', (k) => k.dies(), 'kernel_dead'],
  ])('are refused when %s', (_when, happens, code) => {
    const { kernel, id } = asked({ op: 'get', names: ['x'] })
    happens(kernel)
    expect(answer(kernel, id)).toMatchObject({ ok: false, error: { code } })
  })

  test('of an op that there is not are refused', () => {
    const { kernel, id } = asked({ op: 'toString' })
    expect(answer(kernel, id)).toMatchObject({ ok: false, error: { code: 'unknown_op' } })
  })
})
