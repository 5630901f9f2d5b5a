import { config } from '../../src/config.js'
import { isolated, runCommand } from '../../src/provision/command.js'

const node = (code: string) => [process.execPath, '-e', code]

describe('running a command', () => {
  test('gives its lines as they come, its exit code, and both streams in the tail', async () => {
    const lines: string[] = []
    const code = 'console.log("one\\ntwo"); console.error("three"); process.exitCode = 4'
    const result = await runCommand(node(code), { deadlineMs: 20_000, onLine: (line) => lines.push(line) })
    expect(result).toMatchObject({ code: 4, failure: null, stdout: ['one', 'two'] })
    expect(lines.toSorted()).toEqual(['one', 'three', 'two'])
    expect([...result.tail].toSorted()).toEqual(['one', 'three', 'two'])
  })

  test('keeps no more than the last lines for an error', async () => {
    const result = await runCommand(node('for (let i = 0; i < 99; i++) console.error(i)'), { deadlineMs: 20_000 })
    expect(result.tail).toHaveLength(config.commandOutputLinesMax)
    expect(result.tail.at(-1)).toBe('98')
  })

  test('ends one that does not end, though a child of it holds the pipes', async () => {
    const code = `const { pid } = require("child_process").spawn("sleep", ["60"], { stdio: "inherit" })
console.log(pid)
setInterval(() => {}, 1000)`
    const began = performance.now()
    const result = await runCommand(node(code), { deadlineMs: 300 })
    for (const pid of result.stdout) process.kill(Number(pid))
    expect(result).toMatchObject({ code: null, failure: 'no end after 0 s' })
    expect(performance.now() - began).toBeLessThan(30_000)
  })

  test('says why one does not start', async () => {
    const result = await runCommand(['/nowhere/at/all'], { deadlineMs: 1000 })
    expect(result).toMatchObject({ code: null, failure: expect.stringContaining('ENOENT') })
  })
})

test('what would lead pip or Python elsewhere is not passed on, and the rest is', () => {
  const env = { PYTHONPATH: '/x', PYTHONHOME: '/x', PIP_TARGET: '/x', PIP_USER: '1', UV_PYTHON: 'x', VIRTUAL_ENV: '/x' }
  const kept = { PIP_INDEX_URL: 'https://index.example', PIP_CERT: '/c', PATH: '/bin', UV_CACHE_DIR: '/u' }
  expect(isolated({ ...env, ...kept })).toEqual({
    ...kept,
    PIP_USER: '0',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    UV_PYTHON_DOWNLOADS: 'never',
  })
})
