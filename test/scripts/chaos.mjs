/** `npm run chaos [SUITE ...] [--long] [--seed N] [--rounds N]`: the product tried by force, see docs/reliability.md. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { compile, prepare, root } from '../../src/main/prepare.mjs'
import { testPython } from './environments.mjs'

prepare()
compile('test/tsconfig.json', 'build', ['src', 'test'])
const { python } = await testPython()
const env = { ...process.env, SAVEPOINT_TEST_PYTHON: python, SAVEPOINT_NODE: process.execPath, PYTHONUNBUFFERED: '1' }
const argv = [join(root, 'test', 'chaos', 'run.py'), ...process.argv.slice(2)]
const { status } = spawnSync(python, argv, { env, stdio: 'inherit', cwd: root })
process.exitCode = status ?? 1
