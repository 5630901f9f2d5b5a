import { TestKernel } from '../support/test-kernel.js'

function asks(kernel: TestKernel, id: string, parent: string): string {
  kernel.says({ kind: 'input_request', id, parent }, { prompt: `${id}? `, password: false })
  const question = kernel.heard.findLast(({ channel }) => channel === 'stdin')
  return question?.id ?? ''
}

function answers(kernel: TestKernel, value: string, parent: unknown = {}, by = 'ann'): void {
  kernel.send('stdin', 'input_reply', { value }, { parent, by })
}

const inputs = (kernel: TestKernel): string[] =>
  kernel.told.flatMap(({ command, parts }) => (command.kind === 'input' ? [`${command.id} ${String(parts[0])}`] : []))

const replyTo = (msg_id: string): object => ({ msg_id, msg_type: 'input_request' })

describe('questions on stdin', () => {
  test('go to the client whose cell asks, even when another one waits', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('input()', { by: 'bob' })
    kernel.execute('other', { by: 'ann' })
    asks(kernel, 'q1', cell)
    expect(kernel.heard.at(-1)).toMatchObject({ client: 'bob', parent: cell, content: { prompt: 'q1? ' } })
  })

  test('of a background task go to whoever sent the cell that began it', () => {
    const kernel = new TestKernel()
    const first = kernel.execute('start()', { by: 'bob' })
    kernel.replies()
    kernel.execute('1', { by: 'ann' })
    kernel.replies()
    asks(kernel, 'q1', first)
    expect(kernel.heard.at(-1)).toMatchObject({ client: 'bob', parent: first })
  })

  test('that belong to no cell go to whoever sent the latest one', () => {
    const kernel = new TestKernel()
    kernel.execute('1', { by: 'bob' })
    kernel.replies()
    kernel.execute('2', { by: 'ann' })
    kernel.replies()
    asks(kernel, 'q1', 'long ago')
    expect(kernel.heard.at(-1)).toMatchObject({ client: 'ann' })
  })

  test('are answered by a reply that names them, in any order', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('threads')
    const [one, two] = [asks(kernel, 'q1', cell), asks(kernel, 'q2', cell)]
    answers(kernel, 'b', replyTo(two))
    answers(kernel, 'a', replyTo(one))
    expect(inputs(kernel)).toEqual(['q2 {"value":"b"}', 'q1 {"value":"a"}'])
  })

  test('are answered oldest first by replies that name none', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('threads')
    asks(kernel, 'q1', cell)
    asks(kernel, 'q2', cell)
    answers(kernel, 'a')
    answers(kernel, 'b', { msg_id: cell, msg_type: 'execute_request' })
    expect(inputs(kernel)).toEqual(['q1 {"value":"a"}', 'q2 {"value":"b"}'])
  })

  test('are not answered by a client that was not asked', () => {
    const kernel = new TestKernel()
    asks(kernel, 'q1', kernel.execute('input()'))
    answers(kernel, 'x', {}, 'mallory')
    expect(inputs(kernel)).toEqual([])
  })

  test('that were given up take no answer, nor does a second answer count', () => {
    const kernel = new TestKernel()
    const cell = kernel.execute('input()')
    const first = asks(kernel, 'q1', cell)
    kernel.says({ kind: 'input_abandoned', id: 'q1' })
    const second = asks(kernel, 'q2', cell)
    answers(kernel, 'late', replyTo(first))
    answers(kernel, 'right', replyTo(second))
    answers(kernel, 'again', replyTo(second))
    answers(kernel, 'nobody asked')
    expect(inputs(kernel)).toEqual(['q2 {"value":"right"}'])
    expect(kernel.did('log').filter(({ event }) => event === 'late_input_dropped')).toHaveLength(3)
  })

  test('of a worker that died or was rolled back are forgotten', () => {
    const kernel = new TestKernel({ recover: true })
    const question = asks(kernel, 'q1', kernel.execute('input()'))
    kernel.dies()
    answers(kernel, 'late', replyTo(question))
    expect(inputs(kernel)).toEqual([])
  })

  test('are not served by other messages on stdin, nor by junk in the parent', () => {
    const kernel = new TestKernel()
    asks(kernel, 'q1', kernel.execute('input()'))
    kernel.send('stdin', 'execute_request', { code: '1' })
    expect(inputs(kernel)).toEqual([])
    answers(kernel, 'fine', Buffer.from('{junk}'))
    expect(inputs(kernel)).toEqual(['q1 {"value":"fine"}'])
  })

  describe('after the gateway was killed', () => {
    const questions = (kernel: TestKernel): string[] =>
      kernel.heard.filter(({ channel }) => channel === 'stdin').map(({ id, client }) => `${client} ${id}`)

    function asked(misses: boolean): { kernel: TestKernel; cell: string; question: string } {
      const kernel = new TestKernel()
      const cell = kernel.execute('input()', { misses })
      return { kernel, cell, question: asks(kernel, 'q1', cell) }
    }

    test('are put again, under the same id, if they or their answers may have been on the way', () => {
      const { kernel, question } = asked(true)
      kernel.deliver({ on: 'host_moved', seenAt: kernel.now + 500 })
      expect(questions(kernel)).toEqual([`ann ${question}`, `ann ${question}`])
    })

    test('are not put again to who has heard them for sure, or hears by itself what it missed', () => {
      const long = asked(true)
      long.kernel.deliver({ on: 'host_moved', seenAt: long.kernel.now + 5_000 })
      const told = asked(false)
      told.kernel.deliver({ on: 'host_moved', seenAt: told.kernel.now })
      expect([questions(long.kernel), questions(told.kernel)].map(({ length }) => length)).toEqual([1, 1])
    })

    test('take one answer, which waits until a second one has had its time', () => {
      const { kernel, cell } = asked(true)
      kernel.deliver({ on: 'host_moved', seenAt: kernel.now })
      answers(kernel, 'a')
      expect(inputs(kernel)).toEqual([])
      answers(kernel, 'a once more')
      kernel.expires('twin:')
      asks(kernel, 'q2', cell)
      answers(kernel, 'b')
      expect(inputs(kernel)).toEqual(['q1 {"value":"a"}', 'q2 {"value":"b"}'])
    })
  })
})
