import { existsSync, mkdirSync, mkdtempSync, chmodSync, rmSync, statSync, utimesSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { makeRuntimeDir, runtimeRoot, sweep } from '../../src/worker/runtime-dir.js'

let base: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'savepoint-run-'))
})
afterEach(() => rmSync(base, { recursive: true, force: true }))

const root = (): string => runtimeRoot({ XDG_RUNTIME_DIR: base })

describe('the runtime folder', () => {
  test('is private to its user, and so is the folder of each kernel', () => {
    const dir = makeRuntimeDir(root())
    expect(statSync(root()).mode & 0o777).toBe(0o700)
    expect(statSync(dir.path).mode & 0o777).toBe(0o700)
    dir.remove()
    expect(existsSync(dir.path)).toBe(false)
  })

  test('is refused when it is open to others', () => {
    const path = join(base, `savepoint-${userInfo().uid}`)
    mkdirSync(path)
    chmodSync(path, 0o755)
    expect(root).toThrow(/open to others/)
  })

  test('is swept of what killed processes left, and of nothing else', async () => {
    const mine = makeRuntimeDir(root())
    const left = join(root(), 'k4194305')
    mkdirSync(left)
    const server = createServer().listen(join(root(), 'r-kernel-1.json-0'))
    await once(server, 'listening')
    const rendezvous = join(root(), 'r-kernel-1.json-0')
    const now = new Date()
    sweep(root(), now)
    expect([mine.path, left, rendezvous].map((path) => existsSync(path))).toEqual([true, false, true])
    const longAgo = new Date(now.getTime() - 120_000)
    utimesSync(rendezvous, longAgo, longAgo)
    sweep(root(), now)
    expect(existsSync(rendezvous)).toBe(false)
    server.close()
  })
})
