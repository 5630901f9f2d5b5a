/** Runs jest over the compiled tests, and says the result in the form that all suites here have. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../src/main/prepare.mjs'

const scratch = mkdtempSync(join(tmpdir(), 'savepoint-jest-'))
try {
  const report = join(scratch, 'report.json')
  const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js')
  const flags = [
    '--disable-warning=ExperimentalWarning',
    '--experimental-vm-modules',
    jest,
    '--json',
    `--outputFile=${report}`,
    // Jest leaves one core to others; here there are none, and what takes long is waiting.
    '--maxWorkers=2',
  ]
  // The report goes to a file; what jest prints besides goes to stderr.
  spawnSync(process.execPath, [...flags, ...process.argv.slice(2)], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  )
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  tests.sort((one, other) => (other.duration ?? 0) - (one.duration ?? 0))
  const slowest = tests
    .slice(0, 5)
    .map(({ fullName, duration }) => `${fullName} ${((duration ?? 0) / 1000).toFixed(2)} s`)
  // A file that does not even load has no tests to fail.
  const failed = numFailedTests + numRuntimeErrorTestSuites
  process.stdout.write(`slowest: ${slowest.join(', ')}\n${numPassedTests} passed, ${failed} failed\n`)
  process.exitCode = failed > 0 || numPassedTests === 0 ? 1 : 0
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
