import { config } from '../src/config.js'
import { SavepointError } from '../src/errors.js'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseServeCommand } from '../src/main/serve-settings.js'
import { readSettings, SETTINGS, variableOf, type Setting } from '../src/settings.js'
import { readSettingsFile } from '../src/settings/file.js'
import { integer, list, onOff, oneOf, optional } from '../src/settings/kinds.js'
import { settingsHelp, settingsSchema } from '../src/settings/reference.js'

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

  test('that are counts by name take each name once', () => {
    const keep = (value: string): unknown =>
      readSettings({ SAVEPOINT_CHECKPOINT_KEEP: value }).values['checkpoint.keep']
    expect(keep('')).toEqual({})
    expect(keep('last=10, hourly=24,daily=7')).toEqual({ last: 10, hourly: 24, daily: 7 })
    for (const wrong of ['last', 'last=', 'last=x', 'last=1,last=2', 'yearly=1', 'last=100001', 'last=-1']) {
      expect(refusal({ SAVEPOINT_CHECKPOINT_KEEP: wrong }).message).toContain('such as `last=10,hourly=10`')
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

  test('cannot be changed once they are read', () => {
    expect(Object.isFrozen(readSettings({}).values)).toBe(true)
  })

  test('of further kinds do so too', () => {
    expect(list('words').parse(' a, b,,c ')).toEqual(['a', 'b', 'c'])
    expect([list('words').accept(['a']), list('words').accept([1])]).toEqual([['a'], null])
    expect([onOff(false).accept(true), onOff(false).accept('off'), onOff(false).accept(1)]).toEqual([true, false, null])
    expect([integer(1, 0, 9).accept(3), integer(1, 0, 9).accept('3'), integer(1, 0, 9).accept(1.5)]).toEqual([
      3,
      null,
      null,
    ])
    expect([optional(integer(1, 0, 9), 'none').initial, optional(integer(1, 0, 9), 'none').parse('4')]).toEqual([
      null,
      4,
    ])
  })
})

describe('the configuration file', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'savepoint-settings-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const write = (text: string): string => {
    const path = join(folder, 'savepoint.yaml')
    writeFileSync(path, text)
    return path
  }
  const said = (text: string): string => {
    const path = write(text)
    try {
      readSettingsFile(path)
    } catch (error) {
      if (error instanceof SavepointError && error.code === 'USAGE') return error.message.replace(path, 'FILE')
      throw error
    }
    throw new Error('nothing was refused')
  }

  test('gives way to the environment, and that to flags', () => {
    const file = write('server:\n  port: 1\n  ip: 127.0.0.2\n  base_url: /x\n')
    const { values } = parseServeCommand(['--config', file, '--port', '3'], {
      SAVEPOINT_SERVER_PORT: '2',
      SAVEPOINT_SERVER_IP: '127.0.0.3',
    })
    expect([
      values['server.port'],
      values['server.ip'],
      values['server.base_url'],
      values['server.keep_alive_s'],
    ]).toEqual([3, '127.0.0.3', '/x', SETTINGS['server.keep_alive_s'].initial])
  })

  test('is found by SAVEPOINT_CONFIG, and may be empty', () => {
    const file = write('# nothing yet\nserver:\n')
    expect(parseServeCommand([], { SAVEPOINT_CONFIG: file }).values['server.port']).toBe(8890)
  })

  test('may say what set something once, which is told with what there is now', () => {
    const path = write('websocket:\n  kept_s: 7\n  journal_bytes_max: 5\n')
    const command = parseServeCommand([], { SAVEPOINT_CONFIG: path, SAVEPOINT_WEBSOCKET_KEPT_BYTES_MAX: '9' })
    expect(command.values['websocket.kept_s']).toBe(7)
    expect(command.unknown).toEqual([])
    expect(command.retired).toEqual({
      'websocket.journal_bytes_max': expect.stringContaining('journal.bytes_max'),
      'websocket.kept_bytes_max': expect.stringContaining('journal.bytes_max'),
    })
  })

  test('names kernelspecs', () => {
    const file = write(
      'kernelspecs:\n  lab:\n    python: /p\n    env: {A: 1}\n    preload: [numpy]\n    limits: {cell_s: 5}\n  bare:\n',
    )
    expect(readSettingsFile(file).kernelspecs).toEqual({
      lab: {
        python: '/p',
        display_name: null,
        env: { A: '1' },
        preload: ['numpy'],
        limits: { cell_s: 5 },
        sandbox: null,
      },
      bare: { python: null, display_name: null, env: {}, preload: [], limits: {}, sandbox: null },
    })
  })

  test('is refused for a mistake, with the line, the setting and what is allowed', () => {
    expect(said('server:\n  port: high\n')).toBe(
      'FILE line 2: server.port is "high"; it must be a whole number from 0 to 65535.',
    )
    expect(said('server:\n  ip: 1.2.3.4\n  prot: 1\n')).toBe(
      'FILE line 3: there is no setting server.prot. See docs/configuration.md.',
    )
    expect(said('a: [\n')).toMatch(/^FILE line \d: /)
    expect(said('server:\n  port: 1\n  port: 2\n')).toMatch(/^FILE line 3: /)
    expect(said('- 1\n')).toMatch(/^FILE must hold settings/)
    expect(said('kernelspecs:\n  a/b: {}\n')).toBe('FILE line 2: "a/b" is no name of a kernelspec.')
    expect(said('kernelspecs:\n  a: {pyton: /p}\n')).toMatch(
      /^FILE line 2: kernelspecs\.a\.pyton: there is no such key/,
    )
  })

  test('never shows a token that is not allowed', () => {
    expect(said('token: [very-secret]\n')).not.toContain('very-secret')
  })

  test('that is not there is an error that names it', () => {
    expect(() => readSettingsFile(join(folder, 'nowhere'))).toThrow(/nowhere cannot be read \(ENOENT\)/)
  })

  test('has a schema with every setting', () => {
    const { properties } = settingsSchema() as { properties: Record<string, { properties?: object }> }
    const named = Object.entries(properties).flatMap(([group, { properties: inner }]) =>
      inner === undefined ? [group] : Object.keys(inner).map((key) => `${group}.${key}`),
    )
    expect(named.toSorted()).toEqual([...Object.keys(SETTINGS), 'kernelspecs'].toSorted())
  })
})

describe('flags of serve', () => {
  test('are those of the table, and are in the help', () => {
    for (const { flag } of Object.values<Setting<unknown>>(SETTINGS)) {
      if (flag !== undefined) expect(settingsHelp()).toContain(`${flag} `)
    }
    const { values, json } = parseServeCommand(
      ['--allow-origin', 'https://a', '--allow-origin=https://b', '--preload', 'numpy,pandas', '--token', '', '--json'],
      {},
    )
    expect(values['server.allow_origin']).toEqual(['https://a', 'https://b'])
    expect(values['pool.preload']).toEqual(['numpy', 'pandas'])
    expect([values.token, json]).toEqual(['', true])
  })

  test('with a wrong value are refused by their name', () => {
    expect(() => parseServeCommand(['--port', 'x'], {})).toThrow(
      '--port is "x"; it must be a whole number from 0 to 65535.',
    )
    expect(() => parseServeCommand(['--keyfile', 'x'], {})).toThrow(/needs both a certificate/)
    expect(() => parseServeCommand(['--prot', '1'], {})).toThrow(/There is no option --prot/)
  })

  test('leave an empty variable for a token what it is: none', () => {
    expect(parseServeCommand([], { SAVEPOINT_TOKEN: '' }).values.token).toBeNull()
  })
})
