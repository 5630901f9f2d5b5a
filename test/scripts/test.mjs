/**
 * `npm test`: everything that needs no more than Node and Python.
 *
 *   --only NAME   the suites whose name begins with NAME (jest, python, clients, lasting-clients, rollback, objects,
 *                 force, random, gateway, conformance, start, libraries); can be given again
 *   --long        also what takes minutes: RUN_SLOW=1 for every suite, and longer deadlines
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { compile, prepare, root } from '../../src/main/prepare.mjs'
import { librariesPython, otherPythons, testPython } from './environments.mjs'
import { runSuites, sumUp } from './suite.mjs'

const args = process.argv.slice(2)
const long = args.includes('--long')
const only = args.flatMap((arg, at) => (arg === '--only' && args[at + 1] ? [args[at + 1]] : []))

/** Units that run in every Python; first, so that they do not run alone at the end. */
const LONGEST = new Set(['test_snapshot.py', 'test_zygote.py'])

prepare()
compile('test/tsconfig.json', 'build', ['src', 'test'])
const tested = await testPython()
// What is asked for by name runs in every Python, a plain `npm test` in the usual and the oldest one.
const others = await otherPythons(tested, { all: long || only.length > 0 })
const pythons = [tested.python, ...others]

const withLibraries = long || only.some((wanted) => wanted.startsWith('libraries'))
const libraries = withLibraries ? await librariesPython(tested) : null
const withMore = long ? await librariesPython(tested, 'rollback') : null

const env = {
  SAVEPOINT_TEST_PYTHON: tested.python,
  SAVEPOINT_TEST_PYTHONS: pythons.join(':'),
  SAVEPOINT_NODE: process.execPath,
  PYTHONUNBUFFERED: '1',
  ...(long ? { RUN_SLOW: '1' } : {}),
}
/** Ends what hangs; what does not takes much less, on a machine at rest. */
const suiteDeadlineS = long ? 3600 : 480

const chosen = suites()
  .filter(({ name }) => only.length === 0 || only.some((wanted) => name.startsWith(wanted)))
  .map((suite) => ({ ...suite, env, deadlineS: Math.max(suite.deadlineS ?? 0, suiteDeadlineS) }))
const isUnit = ({ name }) => name.startsWith('python/')
process.exitCode = sumUp([
  // These use one core at a time; all others use what there is.
  ...(await runSuites(chosen.filter(isUnit), 2)),
  ...(await runSuites(
    chosen.filter((suite) => !isUnit(suite)),
    1,
  )),
])

function suites() {
  const { python } = tested
  const inTest = (...parts) => join(root, 'test', ...parts)
  const runner = inTest('scripts', 'run_unittest.py')
  const units = readdirSync(inTest('python'))
    .filter((file) => /^test_.*\.py$/.test(file))
    .toSorted((one, other) => Number(LONGEST.has(other)) - Number(LONGEST.has(one)) || one.localeCompare(other))
  return [
    { name: 'jest', argv: [process.execPath, inTest('scripts', 'jest.mjs')] },
    // Each file in a process of its own: these tests fork, and change signals and file descriptors.
    ...units.map((file) => ({ name: `python/${file.slice(5, -3)}`, argv: [python, runner, inTest('python', file)] })),
    { name: 'clients', argv: [python, inTest('clients', 'run.py'), ...(long ? [] : ['--brief'])], deadlineS: 1200 },
    { name: 'rollback', argv: [withMore ?? python, inTest('rollback', 'run.py'), ...(long ? ['--all'] : [])] },
    { name: 'objects', argv: [withMore ?? python, inTest('checkpoints', 'run.py'), ...(long ? ['--all'] : [])] },
    // Minutes together, and checks of their own where changes are accepted.
    ...[
      { name: 'lasting-clients', argv: [python, inTest('clients', 'run.py'), '--lasting'], deadlineS: 1800 },
      { name: 'force', argv: [python, inTest('checkpoints', 'force.py')], deadlineS: 1200 },
      { name: 'gateway', argv: [python, inTest('gateway-clients', 'run.py')], deadlineS: 1800 },
      {
        name: 'random',
        argv: [python, inTest('rollback', 'campaign.py'), ...(long ? [] : ['--steps', '1500'])],
        deadlineS: long ? 3600 : 800,
      },
      { name: 'conformance', argv: [python, inTest('conformance', 'kernel_test.py')] },
      { name: 'conformance-others', argv: [python, inTest('conformance', 'run.py')], deadlineS: 1200 },
    ].filter(({ name }) => (long && name !== 'lasting-clients') || only.some((wanted) => name.startsWith(wanted))),
    { name: 'start', argv: [process.execPath, inTest('main', 'fresh-start.mjs')] },
    ...(libraries === null
      ? []
      : [{ name: 'libraries', argv: [libraries, inTest('libraries', 'run.py')], deadlineS: 1800 }]),
  ]
}
