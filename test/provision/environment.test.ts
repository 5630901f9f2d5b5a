import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  buildEnvironment,
  buildStack,
  environmentPython,
  readyMarker,
  stackFolder,
} from '../../src/provision/environment.js'
import type { Workbench } from './fake-python.js'
import { interpreterAt, pretending, workbench } from './fake-python.js'

describe('building an environment', () => {
  let bench: Workbench
  let log: string
  beforeEach(() => {
    bench = workbench()
    log = join(bench.folder, 'log')
    writeFileSync(
      join(bench.folder, 'list.lock'),
      'cloudpickle==3.1.2 \\\n    --hash=sha256:aa\nipython==9.0 \\\n    --hash=sha256:bb\n',
    )
  })
  afterEach(() => bench.remove())

  function build(changes = {}) {
    return {
      folder: join(bench.folder, 'py', 'key'),
      interpreter: interpreterAt(bench.script('python3', pretending(log)), changes),
      lockPath: join(bench.folder, 'list.lock'),
      // No uv, but a shell.
      env: {
        PATH: '/usr/bin:/bin'
          .split(':')
          .filter((folder) => !existsSync(join(folder, 'uv')))
          .join(':'),
      },
      progress: () => {},
    }
  }
  const calls = () => readFileSync(log, 'utf8').trim().split('\n')
  const count = (pattern: RegExp) => calls().filter((call) => pattern.test(call)).length

  test('makes it, installs only with hashes and only wheels, and marks it ready', async () => {
    const { folder } = build()
    await buildEnvironment(build())
    expect(existsSync(environmentPython(folder))).toBe(true)
    expect(existsSync(readyMarker(folder))).toBe(true)
    const install = calls().find((call) => call.includes('pip install')) ?? ''
    for (const flag of ['--require-hashes', '--only-binary :all:', '--no-deps']) expect(install).toContain(flag)
    expect(readdirSync(join(bench.folder, 'py'))).toEqual(['key'])
  })

  test('does nothing the second time, and once for many at once', async () => {
    await Promise.all([buildEnvironment(build()), buildEnvironment(build()), buildEnvironment(build())])
    await buildEnvironment(build())
    expect(count(/-m venv/)).toBe(1)
  })

  test('begins anew over what an interrupted build left', async () => {
    await buildEnvironment(build())
    rmSync(readyMarker(build().folder))
    writeFileSync(join(build().folder, 'stray'), '')
    await buildEnvironment(build())
    expect(existsSync(join(build().folder, 'stray'))).toBe(false)
    expect(count(/-m venv/)).toBe(2)
  })

  test('a failed installation is an error with its reason, leaves nothing, and can be tried again', async () => {
    writeFileSync(`${log}.mood`, 'ERROR: No space left on device\n')
    await expect(buildEnvironment(build())).rejects.toMatchObject({
      code: 'PROVISION_FAILED',
      message: expect.stringContaining('No space left on device'),
    })
    expect(readdirSync(join(bench.folder, 'py'))).toEqual([])
    rmSync(`${log}.mood`)
    await buildEnvironment(build())
    expect(existsSync(readyMarker(build().folder))).toBe(true)
  })

  test('without venv says which package brings it', async () => {
    await expect(buildEnvironment(build({ hasVenv: false }))).rejects.toMatchObject({ code: 'PYTHON_NO_VENV' })
  })

  test('an ensurepip that only fails when it is used is a missing venv too', async () => {
    const path = bench.script(
      'debian',
      'echo "The virtual environment was not created because ensurepip is not available." >&2; exit 1',
    )
    await expect(buildEnvironment({ ...build(), interpreter: interpreterAt(path) })).rejects.toMatchObject({
      code: 'PYTHON_NO_VENV',
    })
  })

  test('for a Python of the user goes beside it: what is installed has a folder of its own, by a helper that is removed', async () => {
    const { folder } = build()
    await buildStack(build(), null)
    expect(existsSync(stackFolder(folder))).toBe(true)
    expect(existsSync(join(folder, 'helper'))).toBe(false)
    expect(calls().find((call) => call.includes('pip install'))).toContain(`--target ${stackFolder(folder)}`)
  })

  test('can be of single packages of the list', async () => {
    await buildStack(build(), ['cloudpickle'])
    const list = readFileSync(join(build().folder, 'requirements.lock'), 'utf8')
    expect(list).toBe('cloudpickle==3.1.2 \\\n    --hash=sha256:aa\n')
    expect(calls().at(-1)).toBe('-c import cloudpickle')
  })

  test('uses the own pip of a Python that cannot make environments', async () => {
    await buildStack(build({ hasVenv: false }), null)
    expect(count(/-m venv/)).toBe(0)
    expect(count(/-m pip install/)).toBe(1)
  })
})
