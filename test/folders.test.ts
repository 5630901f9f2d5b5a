import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeFolder } from '../src/folders.js'

describe('making a folder', () => {
  const base = mkdtempSync(join(tmpdir(), 'savepoint-folders-'))
  afterAll(() => rmSync(base, { recursive: true }))

  test('makes what is missing above it with the same mode, and is content with what is there', () => {
    const deep = join(base, 'a', 'b', 'c')
    makeFolder(deep, 0o700)
    makeFolder(deep, 0o700)
    expect([deep, join(base, 'a')].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700])
  })

  test('does not try for ever where no folder can be made', () => {
    expect(() => makeFolder('/proc/nothing/below')).toThrow('ENOENT')
  })

  test('a file in the way is an error', () => {
    const file = join(base, 'file')
    writeFileSync(file, '')
    expect(() => makeFolder(file)).toThrow('EEXIST')
    expect(() => makeFolder(join(file, 'below'))).toThrow('ENOTDIR')
  })
})
