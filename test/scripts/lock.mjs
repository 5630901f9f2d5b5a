/**
 * `npm run lock`: makes the locked lists of Python packages anew from their .in files, with the uv of the test
 * environment. Needs the package index. Look at the difference before it is committed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { compile, giveUp, prepare, root } from '../../src/main/prepare.mjs'
import { testPython } from './environments.mjs'

prepare()
compile('test/tsconfig.json', 'build', ['src', 'test'])
const { python } = await testPython()
const uv = join(dirname(python), 'uv')

lock(
  'src/python/requirements',
  `# Everything that the worker needs in its Python, pinned and hashed, for CPython 3.10 and newer.
# Made from requirements.in by: npm run lock`,
)
lock(
  'test/requirements-test',
  `# What the tests need on top: real clients, and the libraries of the test notebooks.
# Made from requirements-test.in by: npm run lock`,
)
lock(
  'test/requirements-libraries',
  `# What the long tests need on top: libraries that reach into the kernel, and toolkits with event loops.
# Made from requirements-libraries.in by: npm run lock`,
)
lock(
  'test/requirements-rollback',
  `# What the long tests need on top: libraries whose objects a rollback has to bring back.
# Made from requirements-rollback.in by: npm run lock`,
)

// One list for all Pythons and systems; without the address of the index that this machine happens to use.
function lock(path, heading) {
  const universal = ['--universal', '--python-version', '3.10', '--python', python]
  const plain = ['--no-header', '--no-annotate', '--no-emit-index-url', '--no-emit-find-links', '--generate-hashes']
  const argv = ['pip', 'compile', '--quiet', '--upgrade', ...universal, ...plain, `${path}.in`]
  const { status, stdout } = spawnSync(uv, argv, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (status !== 0) giveUp(`uv could not resolve ${path}.in (see above).`)
  const file = join(root, `${path}.lock`)
  const before = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const after = `${heading}\n${stdout}`
  writeFileSync(file, after)
  process.stdout.write(`${path}.lock ${before === after ? 'is as it was' : 'changed'}\n`)
}
