import { SavepointError } from '../../src/errors.js'
import { failWaits, run, settle, waitFor, type Operation, type Outcome } from '../../src/kernel/operation.js'
import { TestKernel } from '../support/test-kernel.js'

function* twoSteps(): Operation<string> {
  const first = yield* waitFor<string>('first', 10)
  const second = yield* waitFor<string>('second', 20)
  return first + second
}

function running<T>(operation: Operation<T>): { kernel: TestKernel; outcomes: Outcome<T>[] } {
  const kernel = new TestKernel()
  const outcomes: Outcome<T>[] = []
  run(kernel.state, operation, (outcome) => outcomes.push(outcome))
  return { kernel, outcomes }
}

describe('an operation', () => {
  test('goes on with each event that it waits for, and ends once', () => {
    const { kernel, outcomes } = running(twoSteps())
    expect(settle(kernel.state, 'first', 'a')).toBe(true)
    expect(outcomes).toEqual([])
    expect(settle(kernel.state, 'second', 'b')).toBe(true)
    expect(settle(kernel.state, 'second', 'c')).toBe(false)
    expect(outcomes).toEqual([{ ok: true, value: 'ab' }])
  })

  test('asks for a deadline with each wait, and cancels it when the event comes', () => {
    const { kernel } = running(twoSteps())
    settle(kernel.state, 'first', 'a')
    expect(kernel.state.effects).toEqual([
      { do: 'deadline', id: 'first', afterMs: 10 },
      { do: 'cancel_deadline', id: 'first' },
      { do: 'deadline', id: 'second', afterMs: 20 },
    ])
  })

  test('sees a passed deadline as an error that it may catch', () => {
    const { kernel, outcomes } = running(
      (function* () {
        try {
          yield* waitFor('never', 10)
          return 'came'
        } catch (error) {
          return error instanceof SavepointError ? error.code : 'other'
        }
      })(),
    )
    kernel.deliver({ on: 'deadline', id: 'never' })
    expect(outcomes).toEqual([{ ok: true, value: 'timeout' }])
  })

  test('that throws something else fails with internal, and keeps the cause', () => {
    const cause = new TypeError('broken')
    const { outcomes } = running(
      // eslint-disable-next-line require-yield
      (function* (): Operation<never> {
        throw cause
      })(),
    )
    expect(outcomes).toEqual([{ ok: false, error: expect.objectContaining({ code: 'internal', cause }) }])
  })

  test('fails with others whose keys begin alike', () => {
    const { kernel, outcomes } = running(twoSteps())
    failWaits(kernel.state, ['sec'], new SavepointError('kernel_dead', 'gone'))
    expect(outcomes).toEqual([])
    failWaits(kernel.state, ['fir'], new SavepointError('kernel_dead', 'gone'))
    expect(outcomes).toEqual([{ ok: false, error: expect.objectContaining({ code: 'kernel_dead' }) }])
    expect(kernel.state.waiters.size).toBe(0)
  })
})
