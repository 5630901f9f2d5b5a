import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.js'
import { SavepointError } from '../../src/errors.js'
import { claim, livenessOf } from '../../src/store/instances/claims.js'
import { takeInstance, type Instance } from '../../src/store/instances/instance.js'
import { isSameProcess, ownIdentity, ownPlace } from '../../src/store/instances/process.js'

let dataDir: string
const logged: string[] = []
const open: Instance[] = []

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'savepoint-instances-'))
  logged.length = 0
})

afterEach(() => {
  for (const instance of open.splice(0)) instance.leave()
  rmSync(dataDir, { recursive: true, force: true })
})

async function take(): Promise<Instance> {
  const instance = await takeInstance({
    dataDir,
    clock: systemClock,
    log: (_level, event) => void logged.push(event),
  })
  open.push(instance)
  return instance
}

const OWNER = { url: 'http://127.0.0.1:1', ip: '127.0.0.1', port: 1, release: '1', started_at: '2030-01-01T00:00:00Z' }

/** What a process that is gone has left. */
function leave(id: string, kernels: readonly string[], startedAt = '2030-01-01T00:00:00Z'): string {
  const folder = join(dataDir, 'gateways', id)
  for (const kernel of kernels) {
    mkdirSync(join(folder, 'kernels', kernel), { recursive: true })
    writeFileSync(join(folder, 'kernels', kernel, 'kernel.json'), JSON.stringify({ id: kernel }))
  }
  mkdirSync(folder, { recursive: true })
  const gone = { pid: goneProcess(), pid_started: '1', place: ownPlace() }
  writeFileSync(join(folder, 'claim.1'), JSON.stringify(gone))
  writeFileSync(
    join(folder, 'owner.json'),
    JSON.stringify({ ...gone, ...OWNER, started_at: startedAt, runtime_folder: `/run/g${id}` }),
  )
  return folder
}

function goneProcess(): number {
  return Number(execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }))
}

test('a gateway of a data folder has an instance of its own, for its user alone, and leaves none when it ends in order', async () => {
  const [one, other] = [await take(), await take()]
  expect(one.id).not.toBe(other.id)
  expect(one.kernels).toEqual([])
  one.keep({ id: 'k1' })
  one.announce({ ...OWNER, runtime_folder: '/run' })
  const path = join(one.kernelFolder('k1'), 'kernel.json')
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(statSync(one.folder).mode & 0o777).toBe(0o700)
  expect(JSON.parse(readFileSync(one.file('owner.json'), 'utf8'))).toMatchObject({
    version: 1,
    ...ownIdentity(),
    port: 1,
  })
  one.forget('k1')
  expect(readdirSync(join(one.folder, 'kernels'))).toEqual([])
  one.remove()
  other.remove()
  expect(readdirSync(join(dataDir, 'gateways'))).toEqual([])
})

test('what dead owners left is gone on with, in the newest that has kernels; what has nothing is removed', async () => {
  const older = leave('00000001', ['a'], '2030-01-01T00:00:00Z')
  mkdirSync(join(older, 'zygotes'))
  writeFileSync(join(older, 'zygotes', '7.json'), 'a note')
  writeFileSync(join(older, 'sessions.json'), JSON.stringify([{ id: 's', path: 'a.ipynb' }]))
  leave('00000002', ['b', 'c'], '2030-01-02T00:00:00Z')
  leave('00000003', [], '2030-01-03T00:00:00Z')
  const taken = await take()
  expect(taken.id).toBe('00000002')
  expect(taken.before).toMatchObject({ port: 1 })
  expect(taken.kernels.map(({ id }) => id).toSorted()).toEqual(['a', 'b', 'c'])
  expect(readFileSync(taken.file('zygotes/7.json'), 'utf8')).toBe('a note')
  expect(JSON.parse(readFileSync(taken.file('sessions.json'), 'utf8'))).toEqual([{ id: 's', path: 'a.ipynb' }])
  expect(taken.inherited).toEqual(['/run/g00000001'])
  expect(readdirSync(join(dataDir, 'gateways'))).toEqual(['00000002'])
  expect((await take()).kernels).toEqual([])
})

test('zygotes without kernels are gone on with as well, beside kernels where there are some', async () => {
  const zygoteIn = (folder: string, id: number): void => {
    mkdirSync(join(folder, 'zygotes'))
    writeFileSync(join(folder, 'zygotes', `${id}.json`), 'a note')
  }
  zygoteIn(leave('00000001', [], '2030-01-01T00:00:00Z'), 1)
  const alone = await take()
  expect([alone.id, alone.isNew, alone.seenAt]).toEqual(['00000001', false, 0])
  leave('00000002', ['a'], '2030-01-02T00:00:00Z')
  zygoteIn(leave('00000003', [], '2030-01-03T00:00:00Z'), 3)
  const taken = await take()
  expect([taken.id, taken.isNew, readdirSync(taken.file('zygotes'))]).toEqual(['00000002', false, ['3.json']])
  expect(taken.inherited).toEqual(['/run/g00000003'])
  expect((await take()).isNew).toBe(true)
})

test('two kernels of one id are both kept, the other one for a later start', async () => {
  leave('00000001', ['a', 'b'], '2030-01-01T00:00:00Z')
  leave('00000002', ['b'], '2030-01-02T00:00:00Z')
  const taken = await take()
  expect(taken.kernels.map(({ id }) => id).toSorted()).toEqual(['a', 'b'])
  expect(logged).toEqual(['not_inherited'])
  expect(readdirSync(join(dataDir, 'gateways', '00000001', 'kernels'))).toEqual(['b'])
})

test('a record that is damaged costs its kernel, and is told', async () => {
  const folder = leave('00000001', ['a', 'b'])
  writeFileSync(join(folder, 'kernels', 'a', 'kernel.json'), '{"id": "a", "na')
  expect((await take()).kernels.map(({ id }) => id)).toEqual(['b'])
  expect(logged).toEqual(['kernel_record_unreadable'])
})

test('one that lives is never taken, and of another place only after a silence', () => {
  const folder = leave('00000001', ['a'])
  const now = Date.now()
  writeFileSync(join(folder, 'claim.2'), JSON.stringify({ ...ownIdentity(), place: ownPlace() }))
  expect(livenessOf(folder, now)).toBe('alive')
  expect(claim(folder, now)).toBe(false)
  writeFileSync(join(folder, 'claim.3'), JSON.stringify({ ...ownIdentity(), place: 'another machine' }))
  expect(livenessOf(folder, now)).toBe('unsure')
  expect(claim(folder, now)).toBe(false)
  utimesSync(join(folder, 'claim.3'), now / 1_000 - 60, now / 1_000 - 60)
  expect(livenessOf(folder, now)).toBe('dead')
  expect(claim(folder, now)).toBe(true)
  expect(readdirSync(folder).filter((name) => name.startsWith('claim'))).toEqual(['claim.4'])
})

test('of processes that start at the same time exactly one goes on', async () => {
  const module = new URL('../../src/store/instances/claims.js', import.meta.url).href
  for (let round = 0; round < 2; round += 1) {
    const folder = leave(`0000001${round}`, ['a'])
    const at = Date.now() + 700
    const script = `import { claim } from ${JSON.stringify(module)}
      while (Date.now() < ${at});
      console.log(claim(${JSON.stringify(folder)}, Date.now()))
      await new Promise((resolve) => process.stdin.once('data', resolve))`
    const rivals = Array.from({ length: 4 }, () => spawn('node', ['--input-type=module', '-e', script]))
    const won = await Promise.all(rivals.map(firstLine))
    for (const rival of rivals) rival.stdin.end('over')
    await Promise.all(rivals.map((rival) => new Promise((resolve) => rival.once('exit', resolve))))
    expect(won.toSorted()).toEqual(['false', 'false', 'false', 'true'])
  }
})

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => child.stdout?.once('data', (data: Buffer) => resolve(String(data).trim())))
}

test('a process is known by its pid together with its start', () => {
  expect(isSameProcess(ownIdentity())).toBe(true)
  expect(isSameProcess({ ...ownIdentity(), pid_started: '1' })).toBe(false)
  expect(isSameProcess({ pid: goneProcess(), pid_started: null })).toBe(false)
})

test('a data folder that cannot be written is an error that says so', async () => {
  writeFileSync(join(dataDir, 'gateways'), '')
  await expect(take()).rejects.toThrow(SavepointError)
})
