/** What `savepoint status` and `savepoint doctor` find: each thing that is wrong, why it matters, what to do. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.js'
import { packageRoot } from '../../src/config.js'
import { silentLog } from '../../src/log.js'
import { checkDataFolder, checkWritable } from '../../src/main/health/data-folder.js'
import { showFinding, type Finding } from '../../src/main/health/finding.js'
import { checkMachine } from '../../src/main/health/machine.js'
import { checkRelease, checkRunning } from '../../src/main/health/running.js'
import { checkSurvivors, survivorsIn } from '../../src/main/health/survivors.js'
import { GatewayClient } from '../../src/main/gateway-client.js'
import { takeInstance } from '../../src/store/instances/instance.js'
import { openStore } from '../../src/store/store.js'
import { testGateway, TOKEN } from '../support/gateway.js'

let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'savepoint-health-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

const wrong = (findings: readonly Finding[]): string[] =>
  findings.filter(({ level }) => level !== 'ok').map(({ level, name }) => `${level}: ${name}`)

/** Every finding that is no `ok` says why it matters, and what to do. */
function expectHelpful(findings: readonly Finding[]): void {
  for (const { level, why, remedy } of findings) {
    expect([why === null, remedy === null]).toEqual([level === 'ok', level === 'ok'])
  }
}

async function keepSomething(): Promise<void> {
  const store = openStore({ dataDir, kernelId: 'kernel-a', log: silentLog, clock: systemClock })
  store.history.record({ line: 1, source: 'a' })
  await store.close()
}

describe('the data folder', () => {
  test('that is well has nothing wrong, nor has one that is not there yet', async () => {
    expect(wrong(await checkDataFolder(join(dataDir, 'later')))).toEqual([])
    await keepSomething()
    expect(wrong(await checkDataFolder(dataDir))).toEqual([])
    expect(readdirSync(dataDir).filter((name) => name.startsWith('.trial'))).toEqual([])
  })

  test('that others may read is a problem, with the command that closes it', async () => {
    await keepSomething()
    writeFileSync(join(dataDir, 'token'), 'x')
    chmodSync(join(dataDir, 'token'), 0o644)
    const findings = await checkDataFolder(dataDir)
    expect(wrong(findings)).toEqual(['problem: permissions'])
    expect(findings.find(({ name }) => name === 'permissions')).toMatchObject({
      detail: expect.stringContaining('token'),
      remedy: `Close it: chmod -R go-rwx ${dataDir}`,
    })
  })

  test('with files of tomorrow tells of the clock', async () => {
    writeFileSync(join(dataDir, 'gateway.json'), '{}')
    utimesSync(join(dataDir, 'gateway.json'), new Date(), new Date(Date.now() + 86_400_000))
    const findings = await checkDataFolder(dataDir)
    expect(wrong(findings)).toEqual(['warning: clock'])
    expectHelpful(findings)
  })

  test('with a damaged database, or one that was moved aside, tells of it and touches nothing', async () => {
    const names = ['savepoint.sqlite', 'savepoint.sqlite.damaged-2026-01-01T00-00-00-000Z']
    for (const name of names) writeFileSync(join(dataDir, name), Buffer.alloc(8_192, 'no database'), { mode: 0o600 })
    const findings = await checkDataFolder(dataDir)
    expect(wrong(findings)).toEqual(['warning: damaged database', 'problem: database'])
    expectHelpful(findings)
    expect(
      readdirSync(dataDir)
        .filter((name) => !/-(wal|shm)$/.test(name))
        .toSorted(),
    ).toEqual(names)
  })

  test('on a full disk cannot be written, and says how to make room', () => {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dataDir], { stdio: 'ignore' })
    } catch {
      return
    }
    try {
      expect(() => {
        for (;;) writeFileSync(join(dataDir, 'filler'), Buffer.alloc(4_096), { flag: 'a' })
      }).toThrow('ENOSPC')
      const findings = checkWritable(dataDir)
      expect(wrong(findings)).toEqual(['problem: data folder', 'problem: disk'])
      expect(findings[0]?.remedy).toContain('Nothing need be restarted')
    } finally {
      execFileSync('umount', ['-l', dataDir])
    }
  })

  test('that is a file, or cannot be made, is a problem', async () => {
    writeFileSync(join(dataDir, 'file'), '')
    const findings = await checkDataFolder(join(dataDir, 'file'))
    expect(wrong(findings)).toEqual(['problem: data folder'])
    expectHelpful(findings)
  })
})

describe('what a killed gateway left', () => {
  /** An instance as one leaves it that was killed: its claim is of a process that is no more. */
  async function killed(kernels: readonly string[]): Promise<string> {
    const instance = await takeInstance({ dataDir, clock: systemClock, log: silentLog })
    for (const id of kernels) instance.keep({ id })
    instance.leave()
    const child = spawn('true')
    await once(child, 'close')
    const claim = readdirSync(instance.folder).find((name) => name.startsWith('claim.')) ?? ''
    const { pid: _, ...said } = JSON.parse(
      execFileSync('cat', [join(instance.folder, claim)], { encoding: 'utf8' }),
    ) as {
      pid: number
    }
    writeFileSync(join(instance.folder, claim), JSON.stringify({ ...said, pid: child.pid, pid_started: '1' }))
    return instance.folder
  }

  test('is nothing as long as the gateway lives', async () => {
    const instance = await takeInstance({ dataDir, clock: systemClock, log: silentLog })
    instance.keep({ id: 'a' })
    expect(survivorsIn(dataDir)).toEqual({ kernels: 0, processes: 0, unreadable: 0 })
    expect(wrong(checkSurvivors(dataDir, true))).toEqual([])
    instance.remove()
  })

  test('is told with its count: kernels whose Python runs wait for a gateway, others for somebody who asks', async () => {
    const folder = await killed(['a', 'b'])
    expect(wrong(checkSurvivors(dataDir, false))).toEqual(['warning: kernels of a killed gateway'])
    const zygote = spawn('sleep', ['60'])
    try {
      const stat = execFileSync('cat', [`/proc/${zygote.pid}/stat`], { encoding: 'utf8' })
      const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
      mkdirSync(join(folder, 'zygotes'))
      writeFileSync(join(folder, 'zygotes', '1.json'), JSON.stringify({ pid: zygote.pid, started }))
      const [finding] = checkSurvivors(dataDir, false)
      expect(finding).toMatchObject({ level: 'problem', detail: '2 kernels wait to be taken up; their Python runs' })
      expect(finding?.remedy).toContain('savepoint serve')
    } finally {
      zygote.kill('SIGKILL')
    }
  })

  test('that cannot be read is told apart', async () => {
    const folder = await killed(['a'])
    writeFileSync(join(folder, 'kernels', 'a', 'kernel.json'), '{"id":')
    expect(survivorsIn(dataDir)).toMatchObject({ kernels: 0, unreadable: 1 })
    expectHelpful(checkSurvivors(dataDir, false))
  })

  test('is in the answer of `savepoint status`, which ends with 3', async () => {
    await killed(['a'])
    const program = join(packageRoot, 'build', 'src', 'main.js')
    const env = { ...process.env, XDG_RUNTIME_DIR: dataDir, SAVEPOINT_TOKEN: undefined }
    const child = spawn(process.execPath, [program, 'status', '--json', '--data-dir', dataDir], { env })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number]
    expect(code).toBe(3)
    expect(JSON.parse(said)).toMatchObject({
      mode: 'none',
      findings: [{ name: 'kernels of a killed gateway', level: 'warning', remedy: expect.stringContaining('serve') }],
    })
  })
})

describe('a gateway that runs', () => {
  test('tells by its counters what went wrong, and nothing as long as they are 0', async () => {
    const gateway = await testGateway()
    const client = new GatewayClient(gateway.url, TOKEN)
    try {
      expect(await checkRunning(client, 10_000)).toEqual([])
      gateway.metrics.observe({ what: 'history_lost', lines: 7 })
      gateway.metrics.observe({ what: 'journal_failed', kernel: 'k', code: 'ENOSPC' })
      const findings = await checkRunning(client, 10_000)
      expect(findings.map(({ name, detail }) => `${name}: ${detail}`)).toEqual([
        'history: 7 lines of the history were lost since the gateway started',
        'journals: 1 times a journal could not be written since the gateway started',
      ])
      expectHelpful(findings)
    } finally {
      client.close()
      await gateway.close()
    }
  })

  test('of another release can be replaced in place', () => {
    expect(checkRelease('1.0.0', '1.0.0')).toEqual([])
    expect(checkRelease('1.0.0', '1.1.0')[0]?.remedy).toContain('savepoint serve --takeover')
  })
})

test('the machine is looked at for as many kernels as there may be', () => {
  expectHelpful(checkMachine(1))
  const [files] = checkMachine(100_000_000).filter(({ name }) => name === 'open files')
  expect(files).toMatchObject({ level: 'warning', remedy: expect.stringContaining('ulimit -n 1200000200') })
})

test('a finding is shown with what to do below it', () => {
  const finding = { name: 'disk', level: 'problem', detail: 'it is full', why: 'Why.', remedy: 'Do\nthat.' } as const
  expect(showFinding(finding)).toBe('FAIL  disk: it is full\n      Why.\n      Do\n      that.\n')
})
