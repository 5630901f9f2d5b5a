import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { openConnectionFile } from '../../src/sockets/connection-file.js'
import type { Ports } from '../../src/wire/connection.js'

const BOUND: Ports = { shell: 6001, iopub: 6002, stdin: 6003, control: 6004, hb: 6005 }
const FIELDS = {
  shell_port: 0,
  iopub_port: 0,
  stdin_port: 0,
  control_port: 0,
  hb_port: 0,
  ip: '127.0.0.1',
  key: 'the-secret-key',
  transport: 'tcp',
  kernel_name: 'savepoint',
  extra: [1, 2],
}

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'connection-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function fileWith(fields: unknown): string {
  const path = join(folder, 'kernel.json')
  writeFileSync(path, JSON.stringify(fields), { mode: 0o644 })
  return path
}

function read(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

async function refusalOf(path: string): Promise<unknown> {
  return openConnectionFile(path).catch((error: unknown) => error)
}

test('bound ports are written back, for the owner alone, and the rest of the file is kept', async () => {
  const path = fileWith(FIELDS)
  const file = await openConnectionFile(path)
  await file.writePorts(BOUND)
  expect(read(path)).toEqual({
    ...FIELDS,
    shell_port: 6001,
    iopub_port: 6002,
    stdin_port: 6003,
    control_port: 6004,
    hb_port: 6005,
  })
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readdirSync(folder)).toEqual(['kernel.json'])
})

test('a file that already says the ports is not touched', async () => {
  const path = fileWith({
    ...FIELDS,
    shell_port: 6001,
    iopub_port: 6002,
    stdin_port: 6003,
    control_port: 6004,
    hb_port: 6005,
  })
  const before = statSync(path, { bigint: true })
  const file = await openConnectionFile(path)
  await file.writePorts(BOUND)
  const after = statSync(path, { bigint: true })
  expect([after.ino, after.mtimeNs]).toEqual([before.ino, before.mtimeNs])
})

test('a file that somebody else made is left behind at the end', async () => {
  const path = fileWith(FIELDS)
  const file = await openConnectionFile(path)
  await file.writePorts(BOUND)
  await file.dispose()
  expect(readdirSync(folder)).toEqual(['kernel.json'])
})

test('without a file one is made with a random key, and removed at the end', async () => {
  const path = join(folder, 'new.json')
  const file = await openConnectionFile(path)
  expect(readdirSync(folder)).toEqual([])
  await file.writePorts(BOUND)
  expect(read(path)).toMatchObject({ shell_port: 6001, ip: '127.0.0.1', key: file.connection.key })
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(file.connection.key).toMatch(/^[0-9a-f]{64}$/)
  const other = await openConnectionFile(join(folder, 'other.json'))
  expect(other.connection.key).not.toBe(file.connection.key)
  await file.dispose()
  await file.dispose()
  expect(readdirSync(folder)).toEqual([])
})

test('a file that was replaced meanwhile is not ours to remove', async () => {
  const path = join(folder, 'new.json')
  const file = await openConnectionFile(path)
  await file.writePorts(BOUND)
  writeFileSync(path, JSON.stringify(FIELDS))
  await file.dispose()
  expect(read(path)).toEqual(FIELDS)
})

test('a symbolic link stays one', async () => {
  const path = fileWith(FIELDS)
  const link = join(folder, 'link.json')
  symlinkSync(path, link)
  const file = await openConnectionFile(link)
  await file.writePorts(BOUND)
  expect(read(path)).toMatchObject({ shell_port: 6001 })
  expect(
    readdirSync(folder, { withFileTypes: true })
      .find((entry) => entry.name === 'link.json')
      ?.isSymbolicLink(),
  ).toBe(true)
})

test('a folder, a pipe and a huge file are refused without being read', async () => {
  const subfolder = join(folder, 'folder')
  mkdirSync(subfolder)
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const huge = join(folder, 'huge')
  writeFileSync(huge, Buffer.alloc(2 * 1024 * 1024))
  for (const [path, reason] of [
    [subfolder, /no regular file/],
    [pipe, /no regular file/],
    [huge, /too large/],
  ] as const) {
    expect(await refusalOf(path)).toMatchObject({
      code: 'CONNECTION_FILE_INVALID',
      message: expect.stringMatching(reason) as string,
    })
  }
})

test('junk in the file is refused without being quoted', async () => {
  const path = join(folder, 'junk.json')
  writeFileSync(path, '{"key": "the-secret-key"')
  const error = await refusalOf(path)
  expect(error).toMatchObject({ code: 'CONNECTION_FILE_INVALID' })
  expect(String(error)).not.toContain('the-secret-key')
})

test('a folder that does not exist is named when the file should be written', async () => {
  const file = await openConnectionFile(join(folder, 'missing', 'kernel.json'))
  await expect(file.writePorts(BOUND)).rejects.toMatchObject({
    code: 'CONNECTION_FILE_INVALID',
    message: expect.stringContaining('folder that does not exist') as string,
  })
  await file.dispose()
})

test('a folder in which nothing may be created leaves the file as it was', async () => {
  const path = fileWith(FIELDS)
  chmodSync(folder, 0o500)
  try {
    const file = await openConnectionFile(path)
    // Root may write everywhere; for everybody else the attempt has to fail in words.
    await file.writePorts(BOUND).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'CONNECTION_FILE_INVALID' })
      expect(read(path)).toEqual(FIELDS)
    })
  } finally {
    chmodSync(folder, 0o700)
  }
})
