/**
 * Runs one program that tests something, shows what it prints, and finds its result: a line `N passed, N failed`, and
 * optionally one `slowest: NAME SECONDS s, ...`.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { root } from '../../src/main/prepare.mjs'

/** What runs now; ended when we are. */
const running = new Set()
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const child of running) endGroup(child)
    process.exit(130)
  })
}

/**
 * Runs suites in their order, `atOnce` at a time. What a suite prints is shown as it comes if it is alone, else in one
 * piece when it has ended.
 */
export async function runSuites(suites, atOnce) {
  const results = []
  const next = async () => {
    for (let suite = suites.shift(); suite; suite = suites.shift()) {
      if (atOnce === 1) {
        results.push(await runSuite(suite))
        continue
      }
      const lines = []
      results.push(await runSuite(suite, (text) => lines.push(text)))
      process.stdout.write(lines.join(''))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, next))
  return results
}

/** @returns {Promise<{name, passed, failed, seconds, slowest: [name, seconds][]}>} never rejects */
export async function runSuite({ name, argv, env = {}, deadlineS }, show = (text) => process.stdout.write(text)) {
  show(`\n== ${name}\n`)
  const began = performance.now()
  const { code, counts, slowest, late } = await watch({ argv, env, deadlineS, show })
  const seconds = (performance.now() - began) / 1000
  if (late) show(`${name}: ended after ${deadlineS} s, its deadline\n`)
  else if (counts === null) show(`${name}: ended with ${code} and no result\n`)
  const { passed, failed } = counts ?? { passed: 0, failed: 0 }
  // A program that says that all is well and fails all the same, or never gets to say anything, is one failure.
  const fault = failed === 0 && (code !== 0 || counts === null || late) ? 1 : 0
  return { name, passed, failed: failed + fault, seconds, slowest }
}

function endGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Ended meanwhile.
  }
}

function watch({ argv, env, deadlineS, show }) {
  return new Promise((done) => {
    let counts = null
    let slowest = []
    let late = false
    const [program, ...rest] = argv
    // A process group of its own, so that a suite that hangs is ended with all that it started.
    const child = spawn(program, rest, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    running.add(child)
    const deadline = setTimeout(() => {
      late = true
      endGroup(child)
      child.stdout.destroy()
      child.stderr.destroy()
    }, deadlineS * 1000)
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('error', () => {})
      createInterface({ input: stream }).on('line', (line) => {
        show(`${line}\n`)
        const found = /^(\d+) passed, (\d+) failed$/.exec(line)
        if (found) counts = { passed: Number(found[1]), failed: Number(found[2]) }
        const slow = /^slowest: (.+)$/.exec(line)
        if (slow) slowest = [...slow[1].matchAll(/(.+?) ([\d.]+) s(?:, |$)/g)].map(([, test, s]) => [test, Number(s)])
      })
    }
    const finish = (code) => {
      clearTimeout(deadline)
      running.delete(child)
      done({ code, counts, slowest, late })
    }
    child.once('error', (error) => {
      show(`${error.message}\n`)
      finish(null)
    })
    child.once('close', finish)
  })
}

/** Prints what each suite did, the slowest five tests of all, and the one line that counts. Returns the exit code. */
export function sumUp(results) {
  process.stdout.write('\n')
  for (const { name, passed, failed, seconds } of results) {
    process.stdout.write(
      `${failed > 0 ? 'FAIL' : 'ok  '}  ${name}: ${passed} passed, ${failed} failed, ${seconds.toFixed(1)} s\n`,
    )
  }
  const slowest = results.flatMap(({ name, slowest: tests }) =>
    tests.map(([test, seconds]) => [`${name}: ${test}`, seconds]),
  )
  slowest.sort(([, one], [, other]) => other - one)
  if (slowest.length > 0) process.stdout.write('The slowest five:\n')
  for (const [test, seconds] of slowest.slice(0, 5)) process.stdout.write(`  ${seconds.toFixed(1)} s  ${test}\n`)
  const total = (key) => results.reduce((sum, result) => sum + result[key], 0)
  process.stdout.write(`${total('passed')} passed, ${total('failed')} failed\n`)
  return total('failed') > 0 || total('passed') === 0 ? 1 : 0
}
