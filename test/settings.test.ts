import { config } from '../src/config.js'
import { SavepointError } from '../src/errors.js'
import { integer, onOff, oneOf, readSettings, variableOf } from '../src/settings.js'

function refusal(env: Record<string, string>): SavepointError {
  try {
    readSettings(env)
  } catch (error) {
    if (error instanceof SavepointError) return error
  }
  throw new Error('nothing was refused')
}

describe('settings', () => {
  test('are what the limits say, unless the environment says otherwise', () => {
    expect(readSettings({}).values['output.merge_ms']).toBe(config.streams.intervalMs)
    expect(readSettings({ SAVEPOINT_OUTPUT_MERGE_MS: '' }).values['output.merge_ms']).toBe(config.streams.intervalMs)
    expect(readSettings({ SAVEPOINT_OUTPUT_MERGE_MS: '0' }).values['output.merge_ms']).toBe(0)
  })

  test('with a value that is not allowed are refused, with the variable, the value and what may be', () => {
    const error = refusal({ SAVEPOINT_OUTPUT_MERGE_MS: 'soon' })
    expect(error.code).toBe('USAGE')
    expect(error.message).toBe('SAVEPOINT_OUTPUT_MERGE_MS is "soon"; it must be a whole number from 0 to 1000.')
    for (const wrong of ['-1', '1001', '1.5', '1e2', ' 5', '0x10', 'NaN']) {
      expect(refusal({ SAVEPOINT_OUTPUT_MERGE_MS: wrong }).message).toContain(JSON.stringify(wrong))
    }
  })

  test('that do not exist are ignored and named', () => {
    const env = { SAVEPOINT_OUTPUT_MERGE_MSS: '5', SAVEPOINT_PYTHON: '/python', PATH: '/bin', SAVEPOINT_ANYTHING: '' }
    expect(readSettings(env).unknown).toEqual(['SAVEPOINT_ANYTHING', 'SAVEPOINT_OUTPUT_MERGE_MSS'])
  })

  test('have variables that follow from their names', () => {
    expect(variableOf('kernel.any_thing_ms')).toBe('SAVEPOINT_KERNEL_ANY_THING_MS')
  })

  test('of each kind take just their values', () => {
    expect(integer(1, 0, 9).parse('9')).toBe(9)
    expect(integer(1, 0, 9).parse('10')).toBeNull()
    expect([onOff(false).parse('on'), onOff(true).parse('off'), onOff(true).parse('toString')]).toEqual([
      true,
      false,
      null,
    ])
    expect([oneOf('a', ['a', 'b']).parse('b'), oneOf('a', ['a', 'b']).parse('c')]).toEqual(['b', null])
  })
})
