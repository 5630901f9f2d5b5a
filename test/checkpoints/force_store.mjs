/**
 * The store of checkpoints in a process of its own, for tests that damage its files or end it.
 *
 *     node force_store.mjs DATA_DIR OWNER       reads lines of JSON, {id, do, ...}, and answers each: {id, result | code}
 */
import { createInterface } from 'node:readline'
import { systemClock } from '../../dist/clock.js'
import { silentLog } from '../../dist/log.js'
import { openStore } from '../../dist/store/store.js'

const [dataDir, owner] = process.argv.slice(2)
const open = () => openStore({ dataDir, kernelId: 'kernel-a', owner, log: silentLog, clock: systemClock })
let store = open()

const FACTS = { pause_ms: 1, write_ms: 1, in_transaction: false, execution_count: 1 }
const deeds = {
  begin: ({ name, fresh }) =>
    store.checkpoints.begin({ kernelId: 'kernel-a', name, note: null, parent: null, fresh: fresh === true }),
  seal: ({ checkpoint }) => store.checkpoints.seal(checkpoint, FACTS),
  abandon: ({ checkpoint }) => store.checkpoints.abandon(checkpoint),
  list: async () => (await store.checkpoints.list({ limit: 1000 })).items,
  async open({ checkpoint }) {
    const { packs, root, map, path, format, missing } = await store.checkpoints.open(checkpoint)
    const base64 = (bytes) => bytes && bytes.toString('base64')
    return { packs, path, format, missing, root: base64(root), map: base64(map) }
  },
  export: async ({ checkpoint }) => (await store.checkpoints.exportBytes(checkpoint, 1 << 26)).toString('base64'),
  import: ({ bytes }) => store.checkpoints.importFrom(Buffer.from(bytes, 'base64')),
  validate: ({ checkpoint }) => store.checkpoints.validate(checkpoint),
  remove: ({ checkpoint }) => store.checkpoints.remove(checkpoint),
  collect: () => store.checkpoints.collect(),
  async reopen() {
    await store.close()
    store = open()
  },
}

async function answer({ id, ...asked }) {
  try {
    return { id, result: (await deeds[asked.do](asked)) ?? null }
  } catch (error) {
    return { id, code: error.code ?? 'none', message: error.message, retry: error.details?.retry === true }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`)
}
await store.close()
