import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { environmentOf, workingFolder } from '../../../src/host/kernels/environment.js'

describe('the environment that a client gives', () => {
  test('is let in as far as its names are known to do no harm, or are listed', () => {
    const given = {
      KERNEL_ID: 'k',
      HOME: '/x',
      PATH: '/x',
      PYTHONPATH: '/x',
      LD_PRELOAD: '/x',
      APP_MODE: 'a',
      'A B': 'x',
    }
    const names = (allowed: readonly string[]): string[] => Object.keys(environmentOf(given, allowed).environment)
    expect(names([])).toEqual(['KERNEL_ID'])
    expect(names(['APP_*'])).toEqual(['KERNEL_ID', 'APP_MODE'])
    expect(names(['*'])).toEqual(['KERNEL_ID', 'HOME', 'APP_MODE'])
    expect(names(['PYTHON*', 'LD_*'])).toEqual(['KERNEL_ID'])
    expect(names(['PATH', 'LD_PRELOAD'])).toEqual(['KERNEL_ID', 'PATH', 'LD_PRELOAD'])
    expect(environmentOf(given, ['*']).ignored).toEqual(['PATH', 'PYTHONPATH', 'LD_PRELOAD', 'A B'])
  })

  test('is data: whatever is written in it stays as it is', () => {
    const given = {
      KERNEL_POD_NAME: '{{ 7*7 }}{% import os %}',
      KERNEL_IMAGE: 'x\nspec:\n  hostPID: true',
      KERNEL_WORKING_DIR: '$(touch /tmp/x); `id`',
      KERNEL_UID: '0',
    }
    expect(environmentOf(given, [])).toEqual({ environment: given, ignored: [] })
  })

  test('is refused where a value is no string, too long, or could not be one', () => {
    const refusal = expect.objectContaining({ code: 'bad_request', message: expect.stringContaining('KERNEL_X') })
    for (const value of [1, null, ['a'], 'x'.repeat(4_097), 'a\0b', 'a\ud800b']) {
      expect(() => environmentOf({ KERNEL_X: value }, [])).toThrow(refusal)
    }
    expect(environmentOf({ KERNEL_X: '\u{1f600}' }, []).environment).toEqual({ KERNEL_X: '\u{1f600}' })
    expect(environmentOf({ KERNEL_X: 'x'.repeat(4_096), OTHER: 1 }, []).ignored).toEqual(['OTHER'])
    const many = Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`KERNEL_${i}`, '']))
    expect(() => environmentOf(many, [])).toThrow(expect.objectContaining({ code: 'bad_request' }))
  })
})

describe('the folder in which a kernel works', () => {
  const root = mkdtempSync(join(tmpdir(), 'savepoint-root-'))
  mkdirSync(join(root, 'a', 'b'), { recursive: true })
  writeFileSync(join(root, 'a', 'note.ipynb'), '')
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  const folder = (path: string | null, cwd: string | null = null, wished?: string): string =>
    workingFolder({ path, cwd, environment: wished === undefined ? {} : { KERNEL_WORKING_DIR: wished } }, root)

  test('is that of the path, as far as it exists', () => {
    expect(folder(null)).toBe(root)
    expect(folder('a/b')).toBe(join(root, 'a/b'))
    expect(folder('a/note.ipynb')).toBe(join(root, 'a'))
    expect(folder('/a/gone/x.ipynb')).toBe(join(root, 'a'))
    expect(folder('gone.ipynb')).toBe(root)
    expect(folder('a\0')).toBe(root)
  })

  test('is never above the root for the sake of a path', () => {
    expect(folder('../..')).toBe(root)
    expect(folder(`../${root.slice('/tmp/'.length)}x/y`)).toBe(root)
  })

  test('is KERNEL_WORKING_DIR if that is there, which it need not be for a client on another machine', () => {
    expect(folder('a', null, '/usr')).toBe('/usr')
    expect(folder('a', null, '/home/somebody/else')).toBe(join(root, 'a'))
  })

  test('has to be there in the sandbox of a kernel that has one', () => {
    const isSeen = (path: string): boolean => path.startsWith(root)
    const wished = (path: string): string =>
      workingFolder({ path: null, cwd: null, environment: { KERNEL_WORKING_DIR: path } }, root, isSeen)
    expect(wished(join(root, 'a'))).toBe(join(root, 'a'))
    expect(wished('/home/somebody/else')).toBe(root)
    expect(() => wished('/usr')).toThrow(
      expect.objectContaining({ code: 'bad_request', message: expect.stringContaining(`a folder below ${root}`) }),
    )
    expect(() => workingFolder({ path: null, cwd: '/usr', environment: {} }, root, isSeen)).toThrow(/no folder \/usr/)
  })

  test('is what was asked for in so many words, or there is an error', () => {
    expect(folder('a', 'a/b', '/usr')).toBe(join(root, 'a/b'))
    expect(folder(null, '/usr')).toBe('/usr')
    expect(() => folder(null, 'gone')).toThrow(expect.objectContaining({ code: 'bad_request' }))
  })
})
