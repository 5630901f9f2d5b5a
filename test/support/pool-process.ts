/** A process with a pool and one busy kernel, to be killed: prints the pids of everything that it has started. */

import { startTestPool, waitForPoolReady } from './pool.js'

// Nothing of the pool keeps a process.
setInterval(() => {}, 1_000)
const stage = await startTestPool({ size: 2 })
await waitForPoolReady(stage)
const kernel = await stage.kernel().start()
await kernel.run('import subprocess; child = subprocess.Popen(["sleep", "600"])')
kernel.send('import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); list(range(10)); time.sleep(600)')
await waitForPoolReady(stage)
const { items, zygotes } = stage.pool.status()
const pids = [...items, ...zygotes].map(({ pid }) => pid)
process.stdout.write(`${JSON.stringify({ pids, folder: stage.folder })}\n`)
