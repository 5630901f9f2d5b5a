/**
 * `npm start` as a new user meets it: a home folder with nothing in it, twice, and the way back. Makes the private
 * environment anew, so it needs the package index.
 */
import { strict as assert } from 'node:assert'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../src/main/prepare.mjs'

const home = mkdtempSync(join(tmpdir(), 'savepoint-start-'))
const jupyter = join(home, 'jupyter')
const env = { ...process.env, HOME: home, JUPYTER_DATA_DIR: jupyter, SAVEPOINT_DATA_DIR: join(home, 'data') }
delete env.SAVEPOINT_PYTHON
const folder = join(jupyter, 'kernels', 'savepoint')

function run(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    env,
    encoding: 'utf8',
    timeout: 200_000,
  })
  return { status, said: `${stdout}${stderr}` }
}
const start = (...args) => run(join('src', 'main', 'start.mjs'), ...args)
const savepoint = (...args) => run(join('dist', 'main.js'), ...args)

const tests = {
  'npm start provisions, installs the kernelspec and runs a cell': () => {
    const { status, said } = start()
    assert.equal(status, 0, said)
    assert.match(said, /Making a private Python environment/)
    assert.match(said, /print\(6 \* 7\) -> 42/)
    assert.ok(said.includes(folder), said)
    const { argv } = JSON.parse(readFileSync(join(folder, 'kernel.json'), 'utf8'))
    assert.equal(argv[1], join(root, 'src', 'main', 'start-kernel.sh'))
    assert.ok(argv.includes(join(root, 'dist', 'main.js')), argv.join(' '))
  },
  'a second npm start uses what the first one made': () => {
    const { status, said } = start()
    assert.equal(status, 0, said)
    assert.doesNotMatch(said, /Making|Installing/)
  },
  'the doctor finds everything well': () => {
    const { status, said } = savepoint('doctor', '--json')
    const answer = JSON.parse(said.trim().split('\n').at(-1))
    assert.deepEqual(
      answer.checks.filter((check) => !check.ok),
      [],
    )
    assert.equal(status, 0)
  },
  'a Python that is missing is an error with the remedy, and changes nothing': () => {
    const { status, said } = start('--python', join(home, 'nowhere', 'python'))
    assert.equal(status, 1, said)
    assert.match(said, /There is no program .*--python/)
    assert.ok(existsSync(folder))
  },
  'wrong usage is exit code 2': () => {
    const { status, said } = savepoint('install', '--nmae', 'x')
    assert.equal(status, 2)
    assert.match(said, /There is no option --nmae/)
  },
  'uninstall takes the kernelspec away, and says when there is none': () => {
    assert.equal(savepoint('uninstall').status, 0)
    assert.deepEqual(readdirSync(join(jupyter, 'kernels')), [])
    const { status, said } = savepoint('uninstall')
    assert.equal(status, 0)
    assert.match(said, /Nothing to remove/)
  },
}

const seconds = []
let failed = 0
try {
  for (const [name, test] of Object.entries(tests)) {
    const began = performance.now()
    try {
      test()
      process.stdout.write(`ok    ${name}\n`)
    } catch (error) {
      failed++
      process.stdout.write(`FAIL  ${name}\n${error.stack}\n`)
    }
    seconds.push(`${name.replaceAll(',', '')} ${((performance.now() - began) / 1000).toFixed(1)} s`)
  }
} finally {
  rmSync(home, { recursive: true, force: true })
}
process.stdout.write(`slowest: ${seconds.join(', ')}\n${seconds.length - failed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
