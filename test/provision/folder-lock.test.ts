import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { withFolderLock } from '../../src/provision/folder-lock.js'

describe('a folder lock', () => {
  let folder: string
  let path: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'savepoint-lock-'))
    path = join(folder, 'env.lock')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  test('lets one work at a time, and leaves nothing behind', async () => {
    let inside = 0
    let most = 0
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside)
      await new Promise((done) => setImmediate(done))
      inside--
    }
    await Promise.all(Array.from({ length: 5 }, () => withFolderLock(path, { deadlineMs: 10_000 }, work)))
    expect(most).toBe(1)
    expect(readdirSync(folder)).toEqual([])
  })

  test('is given back when the work fails', async () => {
    const failing = withFolderLock(path, { deadlineMs: 1000 }, () => Promise.reject(new Error('no')))
    await expect(failing).rejects.toThrow('no')
    expect(existsSync(path)).toBe(false)
  })

  test('of a process that is gone is taken over', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', ''])
    await withFolderLock(path, { deadlineMs: 1000 }, async () => {
      const mine = JSON.parse(readFileSync(path, 'utf8')) as object
      writeFileSync(join(folder, 'dead'), JSON.stringify({ ...mine, id: 'other', pid }))
    })
    renameSync(join(folder, 'dead'), path)
    await expect(withFolderLock(path, { deadlineMs: 0 }, async () => 'mine')).resolves.toBe('mine')
  })

  test('of another machine is taken over once it has been silent for long', async () => {
    writeFileSync(path, JSON.stringify({ id: 'x', place: 'elsewhere', pid: 1, began: '1' }))
    await expect(withFolderLock(path, { deadlineMs: 0 }, async () => 'mine')).rejects.toMatchObject({ code: 'timeout' })
    const longAgo = new Date(Date.now() - 3_600_000)
    utimesSync(path, longAgo, longAgo)
    await expect(withFolderLock(path, { deadlineMs: 0 }, async () => 'mine')).resolves.toBe('mine')
  })

  test('that somebody else holds is told of once, and waited for', async () => {
    let told = 0
    let tell = (): void => {}
    const toldOnce = new Promise<void>((done) => {
      tell = done
    })
    const onWait = (): void => {
      told++
      tell()
    }
    const held = withFolderLock(path, { deadlineMs: 1000 }, () => toldOnce)
    const waiting = withFolderLock(path, { deadlineMs: 10_000, onWait }, async () => 'after')
    await expect(waiting).resolves.toBe('after')
    await held
    expect(told).toBe(1)
  })
})
