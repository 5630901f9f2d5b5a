/** A process with a pool whose Python outlives it, and kernels in different states; to be killed. Argument: its folder. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Notes } from './notes.js'
import { startTestPool, until, waitForPoolReady, type PoolKernel } from './pool.js'

// Nothing of the pool keeps a process.
setInterval(() => {}, 1_000)
const root = process.argv[2] ?? ''
const stage = await startTestPool({ size: 2, at: root })
await waitForPoolReady(stage)

const start = async (kernelId: string): Promise<PoolKernel> =>
  await stage.kernel({ kernelId }, undefined, new Notes(join(root, `${kernelId}.notes`))).start()

const idle = await start('idle')
await idle.run('x = 41')
await idle.freeze('kept')
await idle.freeze('lost')

const busy = await start('busy')
busy.send(`
import os, time
print("one", flush=True)
os.system("echo two")
open(${JSON.stringify(join(root, 'begun'))}, "w").close()
while not os.path.exists(${JSON.stringify(join(root, 'go'))}): time.sleep(0.01)
print("three")
os.system("echo four")
`)
// It is in this worker's link, and in no other place.
busy.send('print("five"); y = 1')
await until(() => existsSync(join(root, 'begun')), 'the cell runs')

const doomed = await start('doomed')
const unwanted = await start('unwanted')
await waitForPoolReady(stage)
const { items, zygotes } = stage.pool.status()
const ready = items.filter(({ state }) => state === 'ready').map(({ pid }) => pid)
const pids = { idle: idle.pid, busy: busy.pid, doomed: doomed.pid, unwanted: unwanted.pid }
process.stdout.write(`${JSON.stringify({ ...pids, ready, zygote: zygotes[0]?.pid })}\n`)
