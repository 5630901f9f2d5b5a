import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findBwrap, isSeenIn, rootOfUser } from '../../src/main/sandbox.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'savepoint-sandbox-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('the working folder of a user', () => {
  test('is the same for all unless their name stands in it', () => {
    expect(rootOfUser(folder, 'ann')).toBe(folder)
  })

  test('is made, for that user alone', () => {
    const root = rootOfUser(join(folder, '{user}'), 'ann')
    expect(root).toBe(join(folder, 'ann'))
    expect(statSync(root).mode & 0o777).toBe(0o700)
  })

  test.each(['..', '.', '../ann', 'a/b', '%2E', '/etc'])('stays where it is to be if the user is called %j', (name) => {
    const root = rootOfUser(join(folder, '{user}'), name)
    expect(join(root, '..')).toBe(folder)
    expect(root).not.toBe(folder)
    expect(existsSync(root)).toBe(true)
  })

  test('is of one user only', () => {
    const names = ['a/b', 'a%2Fb', 'a.b', '.ab', '%2Eab', 'ab']
    expect(new Set(names.map((name) => rootOfUser(join(folder, '{user}'), name))).size).toBe(names.length)
  })
})

test('a folder is seen in a sandbox if it was mounted there, and nothing was put over it', () => {
  const top = realpathSync(folder)
  const at = (path: string): string => join(top, path)
  for (const path of ['root/work', 'root/secret/deep', 'root2', 'tools']) mkdirSync(at(path), { recursive: true })
  symlinkSync(at('root2'), at('root/out'))
  symlinkSync(at('root/work'), at('in'))
  const sandbox = ['bwrap', '--tmpfs', top, '--bind', at('root'), at('root'), '--tmpfs', at('root/secret')]
  sandbox.push('--ro-bind', at('tools'), at('tools'), '--chdir', at('root'), '--')
  const seen = ['root', 'root/work', 'root/secret', 'tools', '.']
  const unseen = ['root/secret/deep', 'root2', 'root/out', 'in']
  expect([...seen, ...unseen].filter((path) => isSeenIn(sandbox, at(path)))).toEqual(seen)
})

test('a machine without bubblewrap is told what to install', () => {
  expect(() => findBwrap(folder)).toThrow(/apt-get install bubblewrap/)
})
