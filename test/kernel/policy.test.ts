import { SavepointError } from '../../src/errors.js'
import { wishesOf } from '../../src/kernel/policy.js'
import { incoming } from '../support/messages.js'

function wishes(metadata: unknown, code = 'pass'): unknown {
  try {
    const { transaction, warnings } = wishesOf(incoming({ id: 'm', type: 'execute_request', metadata }), code)
    return warnings.length > 0 ? { transaction, warnings } : transaction
  } catch (error) {
    if (error instanceof SavepointError) return error.code
    throw error
  }
}

const named = (policy: unknown): unknown => wishes({ savepoint: { transaction: policy } })

describe('what a cell wishes', () => {
  test.each([
    ['commit_always', null],
    ['commit_on_success', { policy: 'rollback_on_failure', name: null, engine: 'auto' }],
    ['rollback_on_failure', { policy: 'rollback_on_failure', name: null, engine: 'auto' }],
    ['rollback_always', { policy: 'rollback_always', name: null, engine: 'auto' }],
    ['dry_run', { policy: 'rollback_always', name: null, engine: 'auto' }],
    ['explicit', { policy: 'explicit', name: null, engine: 'auto' }],
    ['sometimes', 'unknown_policy'],
    ['toString', 'unknown_policy'],
    ['', 'unknown_policy'],
    [7, 'bad_request'],
    [[], 'bad_request'],
    [null, null],
  ])('policy %j in the metadata means %j', (policy, expected) => {
    expect(named(policy)).toEqual(expected)
  })

  test('metadata without a wish, or of somebody else, is nothing', () => {
    expect(wishes({})).toBeNull()
    expect(wishes({ savepoint: {} })).toBeNull()
    expect(wishes({ tags: ['savepoint'] })).toBeNull()
    expect(wishes({ deletedCells: [], other: { savepoint: { transaction: 'sometimes' } } })).toBeNull()
  })

  test('metadata that is no object where one must be is refused', () => {
    expect(wishes({ savepoint: 'rollback_on_failure' })).toBe('bad_request')
    expect(wishes({ savepoint: [] })).toBe('bad_request')
  })

  test('unknown keys are ignored and named', () => {
    expect(wishes({ savepoint: { speed: 1, transaction: { policy: 'dry_run', colour: 2 } } })).toEqual({
      transaction: { policy: 'rollback_always', name: null, engine: 'auto' },
      warnings: [
        'Ignored metadata savepoint.speed: this version does not know it.',
        'Ignored metadata savepoint.transaction.colour: this version does not know it.',
      ],
    })
  })

  test('names and engines are checked', () => {
    const of = (more: object): unknown => wishes({ savepoint: { transaction: { policy: 'explicit', ...more } } })
    expect(of({ name: 'try', engine: 'fork' })).toEqual({ policy: 'explicit', name: 'try', engine: 'fork' })
    expect(of({ name: '' })).toBe('name_invalid')
    expect(of({ name: 'a/b' })).toBe('name_invalid')
    expect(of({ name: 'a\nb' })).toBe('name_invalid')
    expect(of({ name: 'x'.repeat(200) })).toEqual({ policy: 'explicit', name: 'x'.repeat(200), engine: 'auto' })
    expect(of({ name: 'x'.repeat(201) })).toBe('name_invalid')
    expect(of({ engine: 'objects' })).toEqual({ policy: 'explicit', name: null, engine: 'objects' })
    expect(of({ engine: 'steam' })).toBe('unknown_engine')
  })
})

describe('a checkpoint and a deadline', () => {
  const of = (wish: object): unknown => {
    try {
      const message = incoming({ id: 'm', type: 'execute_request', metadata: { savepoint: wish } })
      const { checkpoint, timeoutS, warnings } = wishesOf(message, 'pass')
      return [checkpoint, timeoutS, warnings]
    } catch (error) {
      if (error instanceof SavepointError) return error.code
      throw error
    }
  }

  test.each<[object, unknown]>([
    [{}, [null, null, []]],
    [{ checkpoint: null, timeout_s: null }, [null, null, []]],
    [{ checkpoint: {}, timeout_s: 0.5 }, [{ name: null }, 0.5, []]],
    [{ checkpoint: { name: 'after' } }, [{ name: 'after' }, null, []]],
    [{ checkpoint: 'after' }, [{ name: 'after' }, null, []]],
    [{ checkpoint: { name: 'cp_1' } }, 'name_invalid'],
    [{ checkpoint: { name: 'a/b' } }, 'name_invalid'],
    [{ checkpoint: 5 }, 'name_invalid'],
    [{ timeout_s: 0 }, 'bad_request'],
    [{ timeout_s: -1 }, 'bad_request'],
    [{ timeout_s: '5' }, 'bad_request'],
    [{ timeout_s: 1e9 }, 'bad_request'],
  ])('%j', (wish, expected) => {
    expect(of(wish)).toEqual(expected)
  })
})

describe('the line %%transaction', () => {
  test.each([
    ['%%transaction\nx', { policy: 'rollback_on_failure', name: null, engine: 'auto' }],
    ['%%transaction dry_run\nx', { policy: 'rollback_always', name: null, engine: 'auto' }],
    ['\n  %%transaction explicit --name try --engine auto\nx', { policy: 'explicit', name: 'try', engine: 'auto' }],
    ['%%transaction --name try explicit\nx', { policy: 'explicit', name: 'try', engine: 'auto' }],
    ['%%transaction commit_always\nx', null],
    ['%%transaction sometimes\nx', 'unknown_policy'],
    ['%%transaction --name\nx', 'bad_request'],
    ['%%transaction --colour red\nx', 'bad_request'],
    ['%%transaction explicit dry_run\nx', 'bad_request'],
    ['%%transactions\nx', null],
    ['x = 1\n%%transaction\n', null],
    ['# %%transaction\n', null],
  ])('%j means %j', (code, expected) => {
    expect(wishes({}, code)).toEqual(expected)
  })

  test('counts more than the metadata', () => {
    expect(wishes({ savepoint: { transaction: 'dry_run' } }, '%%transaction explicit\nx')).toEqual({
      policy: 'explicit',
      name: null,
      engine: 'auto',
    })
  })
})
