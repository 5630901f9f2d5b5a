/**
 * `npm run bench [-- ARGUMENTS OF kernel_bench.py]`: the kernel beside its peers, in one run on this machine.
 * `npm run bench -- --gateway [ARGUMENTS OF gateway_bench.py]`: the gateway beside its peers. The peers are installed
 * once into a cache folder.
 * `npm run bench -- --transactions [ARGUMENTS OF transaction_bench.py]`: transactions beside other ways to keep a state.
 * `npm run bench -- --checkpoints [ARGUMENTS OF checkpoint_bench.py]`: checkpoints beside Kishu, dill and cloudpickle.
 * `npm run bench -- --gateway-memory [ARGUMENTS OF gateway_memory.py]`: what a kernel of the gateway costs.
 */
import { spawnSync } from 'node:child_process'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { giveUp, prepare, root } from '../../src/main/prepare.mjs'

prepare()
const home = process.env.SAVEPOINT_BENCH_HOME || join(homedir(), '.cache', 'savepoint-bench')
const folder = join(root, 'test', 'bench')
const env = { ...process.env, SAVEPOINT_BENCH_HOME: home, SAVEPOINT_NODE: process.execPath }

const KINDS = {
  '--gateway-memory': { script: 'gateway_memory.py', peers: '--small' },
  '--gateway': { script: 'gateway_bench.py', peers: '--gateway' },
  '--checkpoints': { script: 'checkpoint_bench.py', peers: '--checkpoints' },
  '--transactions': { script: 'transaction_bench.py', peers: '--transactions' },
}
const args = process.argv.slice(2)
const kind = Object.keys(KINDS).find((flag) => args.includes(flag))
const { script, peers } = KINDS[kind] ?? { script: 'kernel_bench.py', peers: '--small' }
const setup = spawnSync('bash', [join(folder, 'setup'), peers], { env, stdio: 'inherit' })
if (setup.status !== 0)
  giveUp('Installing the peers failed (see above). Check the network connection, then run the same command again.')
const python = join(home, 'venv', 'bin', 'python')
const argv = [join(folder, script), ...args.filter((arg) => arg !== kind)]
process.exitCode = spawnSync(python, argv, { cwd: root, env, stdio: 'inherit' }).status ?? 1
