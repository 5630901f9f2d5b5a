/** `savepoint checkpoints`, as a program, with a gateway whose kernels do what the test says. */

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../src/config.js'
import { SavepointError } from '../../src/errors.js'
import { stateRoutes } from '../../src/gateway/state/state-routes.js'
import { runCheckpoints } from '../../src/main/checkpoints.js'
import { writeRecord } from '../../src/main/gateway-record.js'
import { FakeCheckpointStore } from '../fakes/checkpoint-store.js'
import type { FakeKernel } from '../fakes/kernels.js'
import { testGateway, TOKEN, type TestGateway } from '../support/gateway.js'

/** Programs are started, on a machine that may be busy. */
const SLOW = 60_000
const PROGRAM = join(packageRoot, 'build', 'src', 'main.js')
const FACTS = {
  checkpoint_id: 'cp_1',
  kernel_id: 'k1',
  name: 'clean',
  note: 'no gaps\n\u001b[31m',
  parent_id: 'cp_0',
  branch: 'main',
  created_at: '2026-01-02T03:04:05.678Z',
  execution_count: 4,
  namespace_size: 12,
  checkpoint_size: 101_300_000,
  written_bytes: 64_000,
  python_version: '3.12.1',
  verdicts: { exact: 11, lost: 1 },
  lost: [{ name: 'line', type: 'socket', reason: 'a connection' }],
}

let folder: string
let store: FakeCheckpointStore
let gateway: TestGateway
let kernel: FakeKernel
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'savepoint-checkpoints-'))
  store = new FakeCheckpointStore()
  gateway = await testGateway({ more: [stateRoutes(store)] })
  const nothing = { environment: {}, path: null, cwd: null, affinity: null }
  kernel = await gateway.kernels.start({ name: 'python3', kernelId: 'k1', owner: 'local', ...nothing })
  writeFileSync(join(folder, 'token'), `${TOKEN}\n`)
  writeRecord(folder, { url: gateway.url, release: '1.2.3', startedAt: new Date(0) })
})
beforeEach(() => {
  store.records.clear()
  store.damaged.clear()
  store.records.set('cp_1', FACTS)
  store.queries.length = 0
  kernel.asked.length = 0
})
afterAll(async () => {
  await gateway.close()
  rmSync(folder, { recursive: true })
})

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(...args: string[]): Promise<Outcome> {
  const env = { ...process.env, SAVEPOINT_DATA_DIR: folder, SAVEPOINT_TOKEN: undefined }
  const child = spawn(process.execPath, [PROGRAM, 'checkpoints', ...args], { env, cwd: folder, timeout: SLOW })
  const text = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (text.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text.stderr += chunk.toString()))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...text })))
}

test(
  'lists, searches and shows, in one line each or as JSON',
  async () => {
    const listed = await run('list', '--search', 'gaps', '--branch', 'main', '--limit', '5')
    expect(listed).toEqual({
      code: 0,
      stderr: '',
      stdout:
        'cp_1  2026-01-02T03:04:05.678Z  main    cell 4  12 variables, 1 lost  101.3 MB (64.0 kB new)  clean: no gaps [31m\n',
    })
    expect(store.queries).toMatchObject([{ branch: 'main', text: 'gaps', limit: 5 }])
    const asJson = await run('list', '--json')
    expect(JSON.parse(asJson.stdout)).toEqual({ items: [FACTS], total_count: 1 })
    const shown = await run('show', 'clean')
    expect(shown.stdout).toMatch(/^checkpoint +cp_1\nname +clean\n[\s\S]*variables +12: 11 exact, 1 lost/)
  },
  SLOW,
)

test(
  'makes and restores by a kernel, and compares with it',
  async () => {
    kernel.answer = FACTS
    const made = await run('create', 'clean', '--note', 'why', '--exclude', 'tmp_*')
    expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^cp_1 .*\n {2}lost: line: a connection\n$/)])
    kernel.answer = { restored: 2, lost: [], warnings: ['careful'], restore_ms: 1 }
    const restored = await run('restore', 'clean', '--kernel', 'k', '--merge', '--only', 'a, b')
    expect(restored.stdout).toBe('Restored 2 variables in kernel k1.\n  careful\n')
    kernel.answer = { added: [{ name: 'x', type: 'int', bytes: 28, preview: '1' }], removed: [], changed: [], code: [] }
    expect((await run('diff', 'clean')).stdout).toBe('+ x  int  28 bytes  1\n')
    expect(kernel.asked.map(({ data }) => data)).toEqual([
      { op: 'create', name: 'clean', note: 'why', exclude: ['tmp_*'] },
      { op: 'restore', checkpoint: 'clean', mode: 'merge', names: ['a', 'b'] },
      { op: 'diff', from: 'clean', to: null },
    ])
  },
  SLOW,
)

test(
  'checks, exports, imports and deletes',
  async () => {
    expect((await run('validate', 'clean')).stdout).toMatch(/^clean is whole/)
    store.damaged.add('cp_1')
    const damaged = await run('validate', 'clean')
    expect([damaged.code, damaged.stdout]).toEqual([1, expect.stringContaining('damaged_checkpoint')])
    const refused = await run('export', 'clean')
    expect([refused.code, readdirSync(folder).filter((name) => name.includes('clean'))]).toEqual([1, []])
    store.damaged.clear()
    const exported = await run('export', 'clean')
    expect([exported.code, exported.stdout]).toEqual([0, 'clean.savepoint  13 bytes\n'])
    expect(readFileSync(join(folder, 'clean.savepoint'), 'utf8')).toBe('half and half')
    expect((await run('export', 'clean', '-o', '-')).stdout).toBe('half and half')
    const imported = await run('import', 'clean.savepoint', '--trust', 'lab', '--json')
    expect(imported.stderr).toBe('')
    expect(JSON.parse(imported.stdout)).toMatchObject({ checkpoint_id: 'cp_new' })
    expect(store.imported).toEqual([{ bytes: 13, owner: 'local', trust: 'lab' }])
    expect((await run('delete', 'clean')).stdout).toBe('Deleted cp_1.\n')
    expect(store.records.has('cp_1')).toBe(false)
  },
  SLOW,
)

test(
  'ends with the code of what went wrong',
  async () => {
    expect(await run('show', 'none')).toMatchObject({ code: 3, stdout: '' })
    expect(await run('import', 'missing.savepoint')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('ENOENT'),
    })
    expect(await run('show', 'clean', '--token', 'wrong')).toMatchObject({ code: 4 })
    expect(await run('create', '--url', 'http://127.0.0.1:1')).toMatchObject({ code: 3 })
    kernel.answer = new SavepointError('transaction_open', 'A transaction is open.')
    const refused = await run('restore', 'clean', '--kernel', 'k1')
    expect(refused).toMatchObject({ code: 1, stderr: 'savepoint: A transaction is open.\n' })
    for (const wrong of [
      [],
      ['sort'],
      ['show'],
      ['show', 'a', 'b'],
      ['list', '--merge'],
      ['list', '--limit', '0'],
      ['restore', 'clean', '--merge'],
      ['diff', 'a', 'b', '--kernel', 'k1'],
    ]) {
      await expect(runCheckpoints(wrong)).rejects.toMatchObject({ code: 'USAGE' })
    }
    expect(existsSync(join(folder, 'missing.savepoint'))).toBe(false)
  },
  SLOW,
)
