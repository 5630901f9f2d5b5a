/**
 * Ends an operation of the store after every single step that changes the disk, as a crash would: from then on nothing
 * of it happens any more. What is on the disk then is opened anew, as the next process would. Prints one line of JSON:
 * how many steps there were, and what was wrong after which.
 */

import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

let left = Infinity
let crashed: (() => void) | null = null
const never = new Promise<never>(() => {})

/** Whether the disk may still be changed. */
function alive(): boolean {
  if (left <= 0) return false
  left -= 1
  if (left > 0) return true
  crashed?.()
  return false
}

type Method = (...values: never[]) => unknown

function stepping(target: object, name: string): void {
  const holder = target as Record<string, Method>
  const real = holder[name]?.bind(target) as (...values: unknown[]) => Promise<unknown>
  holder[name] = ((...values: unknown[]) => (alive() ? real(...values) : never)) as Method
}

for (const name of ['rename', 'rm', 'mkdir', 'rmdir']) stepping(fs.promises, name)
const realOpen = fs.promises.open.bind(fs.promises)
fs.promises.open = (async (...values: Parameters<typeof realOpen>) => {
  const handle = await realOpen(...values)
  for (const name of ['write', 'sync', 'chmod']) stepping(handle, name)
  return handle
}) as typeof fs.promises.open
const realRename = fs.renameSync
fs.renameSync = (from, to) => {
  // In the middle of a transaction: a crash rolls it back, before the file was renamed or after.
  if (!alive()) throw new Error('crashed')
  realRename(from, to)
  if (!alive()) throw new Error('crashed')
}
syncBuiltinESMExports()

const { systemClock } = await import('../../src/clock.js')
const { silentLog } = await import('../../src/log.js')
const { Database } = await import('../../src/store/database.js')
const { storeLimits } = await import('../../src/store/limits.js')
const { openStore } = await import('../../src/store/store.js')
const { knownIn, savedOf, writeDraft } = await import('./drafts.js')
const { FACTS } = await import('./support.js')
const { prototype } = Database
const realWrite = prototype.write
prototype.write = async function (this: never, work: never) {
  if (!alive()) await never
  const result = await realWrite.call(this, work)
  return alive() ? result : await never
} as typeof realWrite

type Store = ReturnType<typeof openStore>

let aheadMs = 0
const clock = { ...systemClock, date: () => new Date(Date.now() + aheadMs) }
const opened = (dataDir: string): Store => openStore({ dataDir, kernelId: 'kernel-a', log: silentLog, clock })

// In memory where there is such a folder: what a flush of a disk takes, is not looked at here.
const root = fs.mkdtempSync(join(fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'savepoint-crash-'))
const shared = randomBytes(40_000)
const own = randomBytes(90_000)

interface Scene {
  /** What there is before; the ids of what must be whole afterwards, whatever happens. */
  prepare(store: Store): Promise<string[]>
  act(store: Store): Promise<unknown>
}

let exported: Buffer = Buffer.alloc(0)

const SCENES: Readonly<Record<string, Scene>> = {
  seal: {
    prepare: async (store) => [await savedOf(store, { shared, a: 'one' })],
    async act(store) {
      const reservation = await store.checkpoints.begin({ kernelId: 'kernel-a', name: 'new', note: null })
      writeDraft(reservation, { shared, own })
      await store.checkpoints.seal(reservation.checkpoint_id, FACTS)
    },
  },
  import: {
    async prepare(store) {
      const gone = await savedOf(store, { shared, own })
      exported = await store.checkpoints.exportBytes(gone, 1_000_000)
      await store.checkpoints.remove(gone)
      await store.checkpoints.collect()
      return [await savedOf(store, { shared, a: 'one' })]
    },
    act: (store) => store.checkpoints.importFrom(exported),
  },
  collect: {
    async prepare(store) {
      const gone = await savedOf(store, { shared, own })
      const kept = [await savedOf(store, { shared, a: 'one' }), await savedOf(store, { a: 'two' })]
      await store.checkpoints.remove(gone)
      return kept
    },
    async act(store) {
      await store.checkpoints.collect()
      aheadMs += storeLimits.packGraceMs + 1
      await store.checkpoints.collect()
    },
  },
  remove: {
    async prepare(store) {
      await savedOf(store, { shared, own }, { name: 'gone' })
      return [await savedOf(store, { shared })]
    },
    act: async (store) => store.checkpoints.remove(await store.checkpoints.find('gone', null)),
  },
}

/** What is wrong with what a crash left, seen by the next process. */
async function faultsOf(dataDir: string, kept: readonly string[]): Promise<string[]> {
  const faults: string[] = []
  const store = opened(dataDir)
  try {
    const listed = (await store.checkpoints.list()).items.map(({ checkpoint_id }) => checkpoint_id)
    for (const id of kept) if (!listed.includes(id)) faults.push(`${id} is lost`)
    for (const when of ['at first', 'after a collection']) {
      for (const id of listed) {
        const { valid, damaged } = await store.checkpoints.validate(id)
        if (!valid) faults.push(`${id} is damaged ${when}: ${JSON.stringify(damaged)}`)
        if ((await store.checkpoints.open(id)).missing > 0) faults.push(`${id} is not whole ${when}`)
      }
      await store.checkpoints.collect()
      aheadMs += storeLimits.packGraceMs + 1
      await store.checkpoints.collect()
    }
    const writing = join(dataDir, 'checkpoints', 'writing')
    const drafts = fs.readdirSync(writing, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('/'))
    if (drafts.length > 0) faults.push(`drafts are left: ${drafts.join(' ')}`)
    const packs = fs.readdirSync(join(dataDir, 'checkpoints', 'packs'))
    const needed = new Set<string>()
    for (const id of listed) for (const pack of (await store.checkpoints.open(id)).packs) needed.add(pack)
    if (packs.length > needed.size) faults.push(`${packs.length} packs, ${needed.size} are needed`)
    const again = await savedOf(store, { shared, own, b: 'new' })
    if (!(await store.checkpoints.validate(again)).valid) faults.push('the next one is damaged')
    const reserved = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
    if (knownIn(reserved.known).size === 0) faults.push('nothing is known')
  } finally {
    await store.close()
  }
  return faults
}

async function play(name: string, scene: Scene): Promise<{ name: string; steps: number; faults: string[] }> {
  const faults: string[] = []
  const base = join(root, name)
  const first = opened(base)
  const kept = await scene.prepare(first)
  await first.close()
  for (let steps = 1; ; steps += 1) {
    const dataDir = join(root, `${name}-${steps}`)
    fs.cpSync(base, dataDir, { recursive: true })
    const store = opened(dataDir)
    await store.checkpoints.list()
    const crash = new Promise<'crashed'>((resolve) => (crashed = () => resolve('crashed')))
    left = steps
    const end = await Promise.race([scene.act(store).then(() => 'done'), crash])
    left = Infinity
    // The old process is dead: what it left is another one's, and that one no longer lives.
    const after = `${dataDir}-after`
    fs.cpSync(dataDir, after, { recursive: true })
    const writing = join(after, 'checkpoints', 'writing')
    for (const owner of fs.readdirSync(writing)) {
      const [place] = owner.split('-')
      realRename(join(writing, owner), join(writing, `${place}-999999999-1`))
    }
    for (const fault of await faultsOf(after, kept)) faults.push(`step ${steps}: ${fault}`)
    if (end === 'done') return { name, steps, faults }
  }
}

try {
  for (const [name, scene] of Object.entries(SCENES)) {
    aheadMs = 0
    process.stdout.write(`${JSON.stringify(await play(name, scene))}\n`)
  }
} finally {
  fs.rmSync(root, { recursive: true, force: true })
}
// What crashed waits for ever.
process.exit(0)
