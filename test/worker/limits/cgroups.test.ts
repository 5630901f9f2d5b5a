import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findCgroups, Group, leaveCgroups } from '../../../src/worker/limits/cgroups.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'savepoint-cgroups-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Folders and files as the system shows them: what it does of itself is not there. */
function put(path: string, text = ''): void {
  mkdirSync(join(folder, path, '..'), { recursive: true })
  writeFileSync(join(folder, path), text)
}

function read(path: string): string {
  return readFileSync(join(folder, path), 'utf8')
}

function sources(mountinfo: string, own: string): { mountinfo: string; own: string } {
  put('mountinfo', mountinfo.replaceAll('AT', folder))
  put('own', own)
  return { mountinfo: join(folder, 'mountinfo'), own: join(folder, 'own') }
}

describe('control groups of version 2', () => {
  const mount = '30 1 0:26 / AT/fs rw - cgroup2 cgroup2 rw\n'

  test('are passed on from the group of the service, which the gateway leaves for one of its own', async () => {
    put('fs/unit/cgroup.controllers', 'cpu memory pids\n')
    // The system would make these.
    put('fs/unit/savepoint/cgroup.procs')
    const found = findCgroups(sources(mount, '0::/unit\n'))
    expect(found).toMatchObject({ version: 2, roots: { memory: join(folder, 'fs/unit/savepoint') } })
    expect(read('fs/unit/gateway/cgroup.procs')).toBe(String(process.pid))
    expect(read('fs/unit/cgroup.subtree_control')).toBe('+memory +pids +cpu')
    const group = new Group(found ?? { version: 2, roots: {} }, 'k1')
    await group.limitMemory(1_000)
    await group.limitProcesses(20)
    await group.limitCpu(150)
    await group.add(4711)
    expect(read('fs/unit/savepoint/k1/memory.max')).toBe('1000')
    expect(read('fs/unit/savepoint/k1/pids.max')).toBe('20')
    expect(read('fs/unit/savepoint/k1/cpu.max')).toBe('150000 100000')
    expect(read('fs/unit/savepoint/k1/cgroup.procs')).toBe('4711')
    put('fs/unit/savepoint/k1/memory.current', '5000\n')
    put('fs/unit/savepoint/k1/memory.stat', 'anon 10\ninactive_file 2000\n')
    put('fs/unit/savepoint/k1/memory.events', 'max 3\noom 2\noom_kill 1\n')
    expect([group.memoryBytes(), group.kills()]).toEqual([3_000, 1])
  })

  test('are looked for above a gateway that has moved already, as after a restart', () => {
    put('fs/unit/cgroup.controllers', 'memory\n')
    put('fs/unit/savepoint/cgroup.procs')
    expect(findCgroups(sources(mount, '0::/unit/gateway\n'))).toMatchObject({
      roots: { memory: join(folder, 'fs/unit/savepoint') },
    })
  })

  test('without controllers are of no use', () => {
    put('fs/unit/cgroup.controllers', '\n')
    expect(findCgroups(sources(mount, '0::/unit\n'))).toBeNull()
  })
})

test('a machine without control groups has none', () => {
  expect(findCgroups({ mountinfo: join(folder, 'none'), own: join(folder, 'none') })).toBeNull()
  expect(findCgroups(sources('', ''))).toBeNull()
})

const real = findCgroups()
if (real === null) {
  process.stderr.write('Not tested: real control groups, since none can be made on this machine.\n')
} else {
  test('real ones take in a process and are gone afterwards', async () => {
    const cgroups = findCgroups()
    if (cgroups === null) throw new Error('They were there a moment ago.')
    const group = new Group(cgroups, `test-${process.pid}`)
    await group.limitMemory(1 << 30)
    await group.limitProcesses(100)
    await group.limitCpu(50)
    expect(group.kills()).toBe(0)
    // A process that has ended is none.
    await group.add(2 ** 22 - 1)
    expect(await group.remove()).toBe(true)
    const [root = ''] = Object.values(cgroups.roots)
    expect(existsSync(join(root, `test-${process.pid}`))).toBe(false)
    leaveCgroups(cgroups)
  })
}
