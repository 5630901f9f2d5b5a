import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { places } from '../../src/config.js'
import {
  checkName,
  kernelsFolder,
  makeSpec,
  ownership,
  readTemplate,
  writeSpecFolder,
} from '../../src/main/kernelspec.js'

const NONE = { '--user': false, '--sys-prefix': false, '--prefix': undefined }
const worker = { python: '/data/py/bin/python', stack: null }
const spec = (choices = {}) =>
  makeSpec(readTemplate(), '/usr/bin/node', '/opt/savepoint/dist/main.js', { worker, ...choices })

describe('a kernelspec', () => {
  test('starts this program with absolute paths, and speaks as Jupyter expects', () => {
    expect(spec()).toEqual({
      argv: [
        '/bin/sh',
        places.launcher,
        '/data/py/bin/python',
        '-',
        '/usr/bin/node',
        '/opt/savepoint/dist/main.js',
        'kernel',
        '-f',
        '{connection_file}',
      ],
      display_name: 'Python 3 (Savepoint)',
      language: 'python',
      interrupt_mode: 'message',
      kernel_protocol_version: '5.5',
      metadata: { debugger: true, supported_encryption: ['curve'], savepoint: { version: 1 } },
    })
  })

  test('holds the choices of its installation', () => {
    const { argv, display_name } = spec({ python: '/venv/bin/python', guard: true, displayName: 'Mine' })
    expect(argv.slice(9)).toEqual(['--python', '/venv/bin/python', '--guard'])
    expect(display_name).toBe('Mine')
  })

  test.each(['Über', 'a b', '', '..', 'a/b', 'UPPER'])('cannot be named %j', (name) => {
    expect(() => checkName(name)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})

describe("Jupyter's folders", () => {
  test.each([
    [{ HOME: '/home/ada' }, '/home/ada/.local/share/jupyter/kernels'],
    [{ HOME: '/home/ada', XDG_DATA_HOME: '/data' }, '/data/jupyter/kernels'],
    [{ HOME: '/home/ada', XDG_DATA_HOME: 'relative' }, '/home/ada/.local/share/jupyter/kernels'],
    [{ XDG_DATA_HOME: '/data', JUPYTER_DATA_DIR: '/jupyter' }, '/jupyter/kernels'],
  ])('of a user with %j: %s', (env, folder) => {
    expect(kernelsFolder({ ...NONE, '--user': true }, null, env)).toBe(folder)
    expect(kernelsFolder(NONE, null, env)).toBe(folder)
  })

  test('of a prefix, and of the active environment', () => {
    expect(kernelsFolder({ ...NONE, '--prefix': '/opt/x' }, null, {})).toBe('/opt/x/share/jupyter/kernels')
    const env = { VIRTUAL_ENV: '/venv' }
    expect(kernelsFolder({ ...NONE, '--sys-prefix': true }, null, env)).toBe('/venv/share/jupyter/kernels')
  })

  test('two places at once are wrong usage', () => {
    const both = { '--user': true, '--sys-prefix': false, '--prefix': '/opt' }
    expect(() => kernelsFolder(both, null, {})).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })

  test('an environment without a Python that runs is an error that says so', () => {
    const flags = { ...NONE, '--sys-prefix': true }
    expect(() => kernelsFolder(flags, '/nope', {})).toThrow(expect.objectContaining({ code: 'PYTHON_NOT_FOUND' }))
  })
})

describe('installing a kernelspec', () => {
  let kernels: string
  beforeEach(() => {
    kernels = join(mkdtempSync(join(tmpdir(), 'savepoint-spec-')), 'kernels')
  })
  afterEach(() => rmSync(join(kernels, '..'), { recursive: true }))

  test('writes the logos too, and leaves nothing beside its folder', () => {
    const folder = writeSpecFolder(kernels, 'savepoint', spec())
    expect(readdirSync(folder).toSorted()).toEqual(['kernel.json', 'logo-32x32.png', 'logo-64x64.png', 'logo-svg.svg'])
    expect(readdirSync(kernels)).toEqual(['savepoint'])
    expect(ownership(folder)).toBe('ours')
  })

  test('replaces an earlier one of ours as a whole', () => {
    const folder = writeSpecFolder(kernels, 'savepoint', spec())
    writeFileSync(join(folder, 'stray'), '')
    writeSpecFolder(kernels, 'savepoint', spec({ displayName: 'Second' }))
    expect(existsSync(join(folder, 'stray'))).toBe(false)
    expect(readFileSync(join(folder, 'kernel.json'), 'utf8')).toContain('Second')
  })

  test.each(['{"argv": []}', 'no JSON'])('does not touch the kernel of somebody else: %s', (content) => {
    const folder = join(kernels, 'savepoint')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'kernel.json'), content)
    expect(() => writeSpecFolder(kernels, 'savepoint', spec())).toThrow(
      expect.objectContaining({ code: 'already_exists' }),
    )
    expect(readFileSync(join(folder, 'kernel.json'), 'utf8')).toBe(content)
    expect(readdirSync(kernels)).toEqual(['savepoint'])
  })
})
