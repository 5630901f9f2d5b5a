/**
 * `npm run bench [-- ARGUMENTS OF kernel_bench.py]`: the kernel beside its peers, in one run on this machine.
 * `npm run bench -- --gateway [ARGUMENTS OF gateway_bench.py]`: the gateway beside its peers. The peers are installed
 * once into a cache folder.
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

const args = process.argv.slice(2)
const memory = args.includes('--gateway-memory')
const gateway = args.includes('--gateway')
const setup = spawnSync('bash', [join(folder, 'setup'), ...(gateway ? [] : ['--small'])], { env, stdio: 'inherit' })
if (setup.status !== 0)
  giveUp('Installing the peers failed (see above). Check the network connection, then run the same command again.')
const python = join(home, 'venv', 'bin', 'python')
const script = join(folder, memory ? 'gateway_memory.py' : gateway ? 'gateway_bench.py' : 'kernel_bench.py')
const argv = [script, ...args.filter((arg) => arg !== '--gateway' && arg !== '--gateway-memory')]
process.exitCode = spawnSync(python, argv, { cwd: root, env, stdio: 'inherit' }).status ?? 1
