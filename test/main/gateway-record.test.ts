import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gatewayAt, readRecord, recordPath, removeRecord, writeRecord } from '../../src/main/gateway-record.js'

describe('the record of a running gateway', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'savepoint-record-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))
  const write = (): void => writeRecord(folder, { url: 'http://127.0.0.1:1', release: '1.2.3', startedAt: new Date(0) })
  const change = (values: object): void =>
    writeFileSync(
      recordPath(folder),
      JSON.stringify({ ...JSON.parse(readFileSync(recordPath(folder), 'utf8')), ...values }),
    )

  test('says who it is, and is readable by its user alone', () => {
    write()
    expect(readRecord(folder)).toMatchObject({ alive: true, record: { pid: process.pid, url: 'http://127.0.0.1:1' } })
    expect(statSync(recordPath(folder)).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder)).toEqual(['gateway.json'])
    removeRecord(folder)
    expect(readRecord(folder)).toBeNull()
  })

  test('of a process that is gone is stale, also when its number is in use again', () => {
    write()
    change({ pid_started: '1' })
    expect(readRecord(folder)?.alive).toBe(false)
    change({ pid: 2 ** 22 + 1 })
    expect(readRecord(folder)?.alive).toBe(false)
  })

  test('of another gateway is not taken back', () => {
    write()
    change({ pid: process.ppid })
    removeRecord(folder)
    expect(readRecord(folder)?.record.pid).toBe(process.ppid)
  })

  test('that is gone gives way to an older gateway of the same folder that lives', () => {
    const instance = join(folder, 'gateways', '0a0a0a0a')
    mkdirSync(instance, { recursive: true })
    const owner = {
      version: 1,
      pid: process.ppid,
      pid_started: null,
      url: 'http://127.0.0.1:2',
      started_at: '',
      release: '1',
    }
    writeFileSync(join(instance, 'owner.json'), JSON.stringify(owner))
    write()
    expect(readRecord(folder)?.record.url).toBe('http://127.0.0.1:1')
    removeRecord(folder)
    expect(readRecord(folder)).toMatchObject({ alive: true, record: { url: 'http://127.0.0.1:2' } })
    writeFileSync(join(instance, 'owner.json'), JSON.stringify({ ...owner, pid: 2 ** 22 + 1 }))
    expect(readRecord(folder)).toBeNull()
  })

  test('of several gateways the one at a port is found, the youngest or not', () => {
    for (const [name, port] of Object.entries({ '0a0a0a0a': 2, '0b0b0b0b': 3 })) {
      const instance = join(folder, 'gateways', name)
      mkdirSync(instance, { recursive: true })
      const url = `http://127.0.0.1:${port}/a/`
      const owner = { version: 1, pid: process.ppid, pid_started: null, url, started_at: `200${port}`, release: '1' }
      writeFileSync(join(instance, 'owner.json'), JSON.stringify(owner))
    }
    write()
    expect([1, 2, 3, 4].map((port) => gatewayAt(folder, port)?.pid)).toEqual([
      process.pid,
      process.ppid,
      process.ppid,
      undefined,
    ])
  })

  test('that cannot be read counts as none', () => {
    expect(readRecord(folder)).toBeNull()
    for (const text of ['', '{', 'null', '[]', '{"pid": "x"}', '{"pid": 1, "url": "x"}', '{"pid": 99}']) {
      writeFileSync(recordPath(folder), text)
      expect(readRecord(folder)).toBeNull()
    }
  })
})
