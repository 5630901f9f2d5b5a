/** `npm run test:browser [FOLDER]`: a real JupyterLab in a real Chromium. FOLDER gets the screenshots. */
import { accessSync, constants, mkdirSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { compile, prepare, root } from '../../src/main/prepare.mjs'
import { testPython } from './environments.mjs'
import { runSuite, sumUp } from './suite.mjs'

/** Programs of test/browser, each ending with its own count. */
const SUITES = [
  'first-slice',
  'everyday',
  'debugger',
  'gateway',
  'mishaps',
  'mishaps-remote',
  'tomorrow',
  'tomorrow-remote',
  'refresh',
  'refresh-remote',
]
const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']

const chromium = process.env.SAVEPOINT_CHROMIUM || findProgram(NAMES)
if (chromium === null) {
  process.stdout.write(
    'No Chromium was found on PATH. On Debian and Ubuntu: apt install chromium. ' +
      'Or name one: SAVEPOINT_CHROMIUM=/path/to/chrome npm run test:browser\n0 passed, 1 failed\n',
  )
  process.exit(1)
}

prepare()
compile('test/tsconfig.json', 'build', ['src', 'test'])
const { python } = await testPython()
const screenshots = resolve(process.argv[2] ?? join(root, 'build', 'screenshots'))
mkdirSync(screenshots, { recursive: true })

const env = {
  SAVEPOINT_CHROMIUM: chromium,
  SAVEPOINT_TEST_PYTHON: python,
  SAVEPOINT_NODE: process.execPath,
}
const results = []
for (const name of SUITES) {
  const argv = [process.execPath, join(root, 'build', 'test', 'browser', `${name}.js`), screenshots]
  results.push(await runSuite({ name: `browser/${name}`, argv, env, deadlineS: 600 }))
}
process.stdout.write(`Screenshots: ${screenshots}\n`)
process.exitCode = sumUp(results)

function findProgram(names) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  const isProgram = (path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  }
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isProgram) ?? null
}
