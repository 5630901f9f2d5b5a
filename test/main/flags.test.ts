import { parseFlags } from '../../src/main/flags.js'

const TABLE = { '-f': 'value', '--python': 'value', '--guard': 'switch' } as const
const parse = (...args: string[]) => parseFlags(args, TABLE)

describe('flags', () => {
  test('take their value from behind a blank or an equals sign', () => {
    const expected = { '-f': 'a=b', '--python': 'p', '--guard': true }
    expect(parse('-f', 'a=b', '--python=p', '--guard').given).toEqual(expected)
  })

  test('that were not given are undefined or false', () => {
    expect(parse().given).toEqual({ '-f': undefined, '--python': undefined, '--guard': false })
  })

  test('given twice mean the last one', () => {
    expect(parse('-f', 'a', '-f', 'b').given['-f']).toBe('b')
  })

  test('of others are kept in order when asked for', () => {
    const args = ['--HistoryManager.enabled=False', '-f', 'x', 'word', '--', '--guard']
    const { given, rest } = parseFlags(args, TABLE, { keepRest: true })
    expect(rest).toEqual(['--HistoryManager.enabled=False', 'word', '--guard'])
    expect(given).toMatchObject({ '-f': 'x', '--guard': false })
  })

  test.each([
    [['--pyton', 'x']],
    [['word']],
    [['--python']],
    [['--python', '--guard']],
    [['--guard=yes']],
    [['--toString']],
  ])('wrong usage: %j', (args) => {
    expect(() => parse(...args)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})
