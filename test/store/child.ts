/**
 * A process that keeps cells and checkpoints until it has done its number or is killed. Prints the id of each
 * checkpoint once it is sealed, and the session's number at the end.
 */

import { writeFileSync } from 'node:fs'
import { systemClock } from '../../src/clock.js'
import { silentLog } from '../../src/log.js'
import { openStore } from '../../src/store/store.js'
import { FACTS, MANIFEST, writerFile } from './support.js'

const [dataDir = '', kernelId = '', rounds = '0'] = process.argv.slice(2)
const store = openStore({ dataDir, kernelId, log: silentLog, clock: systemClock })
for (let round = 1; round <= Number(rounds); round += 1) {
  store.history.record({ line: round, source: `${kernelId} ${round}` })
  if (round % 3 === 0) await store.history.flush()
  const { checkpoint_id, path } = await store.checkpoints.begin({ kernelId, name: `round ${round}`, note: null })
  writeFileSync(path, writerFile(MANIFEST, Buffer.alloc(300_000, round)))
  await store.checkpoints.seal(checkpoint_id, FACTS)
  process.stdout.write(`${checkpoint_id}\n`)
}
const session = await store.history.session()
await store.close()
process.stdout.write(`session ${session}\n`)
