/**
 * `npm start` as a new user meets it: a home folder with nothing in it, twice, and the way back. Makes the private
 * environment anew, so it needs the package index.
 */
import { strict as assert } from 'node:assert'
import { spawn, spawnSync } from 'node:child_process'
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
const START_MS = 200_000

/** What the gateway says it is; what went wrong, if it says nothing. */
async function askVersion(url) {
  try {
    const answer = await fetch(`${url}/api`)
    return (await answer.json()).version
  } catch (error) {
    return String(error)
  }
}

/** Runs `npm start` until its gateway is there, asks it something, and ends it. A start that fails ends by itself. */
async function start(...args) {
  const child = spawn(process.execPath, [join('src', 'main', 'start.mjs'), '--port', '0', ...args], { cwd: root, env })
  let said = ''
  let url = null
  let version = null
  const timer = setTimeout(() => child.kill('SIGKILL'), START_MS)
  const ended = new Promise((resolve) => child.once('close', resolve))
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      said += bytes
      const [, found] = /^Savepoint gateway at (\S+)$/m.exec(said) ?? []
      if (found === undefined || url !== null || !/--gateway-url=\S+\n/.test(said)) return
      url = found
      void askVersion(url).then((answer) => {
        version = answer
        child.kill('SIGTERM')
      })
    })
  }
  const status = await ended
  clearTimeout(timer)
  return { status, said, version }
}
const savepoint = (...args) => run(join('dist', 'main.js'), ...args)

const tests = {
  'npm start provisions, installs the kernelspec, runs a cell and then the gateway': async () => {
    const { status, said, version } = await start()
    assert.equal(status, 0, said)
    assert.match(said, /Making a private Python environment/)
    assert.match(said, /print\(6 \* 7\) -> 42/)
    assert.match(version, /^2\./)
    const [, token] = /^JUPYTER_GATEWAY_AUTH_TOKEN=(\w+) jupyter lab --gateway-url=http:\S+$/m.exec(said) ?? []
    assert.equal(readFileSync(join(home, 'data', 'token'), 'utf8').trim(), token)
    assert.ok(said.includes(folder), said)
    const { argv } = JSON.parse(readFileSync(join(folder, 'kernel.json'), 'utf8'))
    assert.equal(argv[1], join(root, 'src', 'main', 'start-kernel.sh'))
    assert.ok(argv.includes(join(root, 'dist', 'main.js')), argv.join(' '))
  },
  'a second npm start uses what the first one made': async () => {
    const { status, said } = await start()
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
  'a Python that is missing is an error with the remedy, and changes nothing': async () => {
    const { status, said } = await start('--python', join(home, 'nowhere', 'python'))
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
      await test()
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
