import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { askedInterpreter, foundInterpreter, probe } from '../../src/provision/find.js'
import type { Workbench } from './fake-python.js'
import { answering, workbench } from './fake-python.js'

describe('finding a Python', () => {
  let bench: Workbench
  beforeEach(() => {
    bench = workbench()
  })
  afterEach(() => bench.remove())

  const env = () => ({ PATH: [join(bench.folder, 'shims'), join(bench.folder, 'bin')].join(':') })

  test('passes by a shim that refuses, and takes the next one of that name', async () => {
    bench.script('shims/python3.12', 'echo "python3.12: command not found" >&2; exit 127')
    const good = bench.script('bin/python3.12', answering([3, 12, 1]))
    bench.script('bin/python3', 'echo should not be asked; exit 1')
    await expect(foundInterpreter(env())).resolves.toMatchObject({ path: good, version: [3, 12, 1] })
  })

  test('passes by one that cannot make environments', async () => {
    bench.script('bin/python3.12', answering([3, 12, 1], { venv: false }))
    const good = bench.script('bin/python3', answering([3, 11, 2]))
    await expect(foundInterpreter(env())).resolves.toMatchObject({ path: good })
  })

  test('finds nothing where nothing is', async () => {
    await expect(foundInterpreter(env())).rejects.toMatchObject({ code: 'PYTHON_NOT_FOUND' })
  })

  test('a program that is killed, prints nonsense or does not run is no Python, with the reason', async () => {
    await expect(probe(bench.script('killed', 'kill -9 $$'), {})).resolves.toBe('ended by SIGKILL')
    await expect(probe(bench.script('nonsense', 'echo hello'), {})).resolves.toBe('it did not say what it is')
    await expect(probe(bench.script('fails', 'echo no such option >&2; exit 2'), {})).resolves.toBe('no such option')
    const locked = bench.script('locked', 'true')
    chmodSync(locked, 0o600)
    await expect(probe(join(locked, 'below'), {})).resolves.toMatch(/ENOTDIR|ENOENT/)
  })

  test('a bare name that was asked for means the first of that name that answers', async () => {
    bench.script('shims/python3.12', 'echo "python3.12: command not found" >&2; exit 127')
    await expect(askedInterpreter('python3.12', env())).rejects.toMatchObject({
      code: 'PYTHON_NOT_FOUND',
      message: expect.stringContaining('command not found') as string,
    })
    const good = bench.script('bin/python3.12', answering([3, 12, 1]))
    await expect(askedInterpreter('python3.12', env())).resolves.toMatchObject({ path: good })
  })

  test('the asked-for one is the one or an error, never another', async () => {
    bench.script('bin/python3', answering([3, 12, 1]))
    const old = bench.script('old/python', answering([3, 9, 18]))
    const broken = bench.script('broken/python', 'exit 3')
    await expect(askedInterpreter('python3', env())).resolves.toMatchObject({ version: [3, 12, 1] })
    await expect(askedInterpreter(old, env())).rejects.toMatchObject({ code: 'PYTHON_TOO_OLD' })
    await expect(askedInterpreter(broken, env())).rejects.toMatchObject({ code: 'PYTHON_NOT_FOUND' })
    await expect(askedInterpreter('/nowhere/python', env())).rejects.toMatchObject({ code: 'PYTHON_NOT_FOUND' })
  })
})
