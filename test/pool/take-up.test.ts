import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../../src/config.js'
import { Notes } from '../support/notes.js'
import { startTestPool, until, waitForPoolReady, type PoolKernel, type TestPool } from '../support/pool.js'

interface Pids {
  readonly idle: number
  readonly busy: number
  readonly doomed: number
  readonly unwanted: number
  readonly ready: readonly number[]
  readonly zygote: number
}

let root: string
let gateway: ChildProcess
let stage: TestPool
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'savepoint-mortal-'))))
afterEach(async () => {
  gateway.kill('SIGKILL')
  await stage.close()
  rmSync(root, { recursive: true, force: true })
})

/** A gateway with kernels, which is killed. */
async function killed(): Promise<Pids> {
  gateway = spawn(process.execPath, [join(packageRoot, 'build', 'test', 'support', 'mortal-pool.js'), root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (!gateway.stdout) throw new Error('It has no stdout.')
  const [line] = (await once(createInterface(gateway.stdout), 'line')) as [string]
  const over = once(gateway, 'exit')
  gateway.kill('SIGKILL')
  await over
  return JSON.parse(line) as Pids
}

const notesOf = (kernelId: string): Notes => new Notes(join(root, `${kernelId}.notes`))
const takeUp = (kernelId: string, needs: object = {}): PoolKernel =>
  stage.kernel({ kernelId, ...needs }, undefined, notesOf(kernelId)).takeUp()
const died = (kernel: PoolKernel): Promise<unknown> => kernel.until(({ on }) => on === 'worker_died')

describe('a gateway after one that was killed', () => {
  test('goes on with its kernels, and ends what belongs to nobody', async () => {
    const pids = await killed()
    const files = readdirSync(join(root, 'zygotes'))
    expect(files.map((name) => statSync(join(root, 'zygotes', name)).mode & 0o777)).toEqual([0o600])
    await until(() => !pids.ready.some(isAlive), 'those that waited for a lease end')
    process.kill(pids.doomed, 'SIGKILL')
    const [, lost] = notesOf('idle').recall().snapshots
    process.kill(lost?.pid ?? 0, 'SIGKILL')
    writeFileSync(join(root, 'go'), '')

    stage = await startTestPool({ size: 2, at: root })
    const stranger = stage.kernel({ tenant: 'them' }, undefined, notesOf('idle')).takeUp()
    const [idle, busy, doomed] = [takeUp('idle'), takeUp('busy'), takeUp('doomed')]
    await stranger.until(({ on }) => on === 'zygote_died')
    stage.pool.takenUp()

    expect(await idle.run('print(x + 1)')).toBe('42')
    await busy.replyTo(2)
    const text = JSON.parse(`"${notesOf('busy').recall().text}"`) as string
    // What the cell and its children printed comes on two ways.
    expect(text.trim().split(/\s+/).toSorted()).toEqual(['five', 'four', 'one', 'three', 'two'])
    expect(text).toMatch(/five\s*$/)
    expect(busy.events.filter((event) => event.on === 'worker' && event.event.kind === 'reply')).toHaveLength(2)
    expect(await died(doomed)).toMatchObject({ generation: 1, cause: { signal: { name: 'SIGKILL' } } })
    await doomed.fork()
    expect(await doomed.run('print("anew")')).toBe('anew')
    await idle.until((event) => event.on === 'snapshot_gone' && event.snapshot === 'lost')
    expect(idle.events.filter(({ on }) => on === 'snapshot_gone')).toHaveLength(1)

    await until(() => !isAlive(pids.unwanted), 'what nobody claimed is ended')
    await waitForPoolReady(stage)
    const { items, zygotes } = stage.pool.status()
    expect(zygotes.map(({ pid }) => pid)).toEqual([pids.zygote])
    expect(items.filter(({ state }) => state === 'ready').some(({ pid }) => pids.ready.includes(pid ?? 0))).toBe(false)
    expect([idle.pid, busy.pid].every(isAlive)).toBe(true)
    // The name of no place is used twice.
    expect(JSON.stringify(stage.logged)).not.toContain(readTokens())

    const fork = await idle.fork()
    expect(await fork.run('print("x" in dir())')).toBe('False')
    await stage.pool.stop()
    const all = [...Object.values(pids).flat(), ...items.map(({ pid }) => pid)] as number[]
    await until(() => !all.some(isAlive), 'an orderly end leaves nothing')
    expect(readdirSync(join(root, 'zygotes'))).toEqual([])
  })

  test('finds that their zygote has been killed, too', async () => {
    const pids = await killed()
    process.kill(pids.zygote, 'SIGKILL')
    stage = await startTestPool({ at: root })
    const idle = takeUp('idle')
    await idle.until(({ on }) => on === 'zygote_died')
    stage.pool.takenUp()
    expect(readdirSync(join(root, 'zygotes'))).toEqual([])
    const next = await stage.kernel().start()
    expect(await next.run('print("anew")')).toBe('anew')
    await until(() => ![pids.idle, pids.busy].some(isAlive), 'they end with their zygote')
  })
})

function readTokens(): string {
  const [name = ''] = readdirSync(join(root, 'zygotes'))
  return (JSON.parse(readFileSync(join(root, 'zygotes', name), 'utf8')) as { token: string }).token
}

/** A process that has ended but was not yet asked for its status does not live. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
