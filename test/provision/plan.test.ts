import type { Interpreter } from '../../src/provision/interpreter.js'
import { PYTHON_NAMES, candidatePaths, locate, readProbe } from '../../src/provision/interpreter.js'
import { installFailure } from '../../src/provision/packages.js'
import {
  choose,
  countRequirements,
  environmentKey,
  lacking,
  pickRequirements,
  unfitness,
} from '../../src/provision/plan.js'
import { isAtLeast, parseVersion } from '../../src/provision/version.js'

function interpreter(changes: Partial<Interpreter> = {}): Interpreter {
  return {
    path: '/usr/bin/python3',
    version: [3, 11, 7],
    implementation: 'cpython',
    prefix: '/usr',
    searchPath: [],
    hasVenv: true,
    hasPip: true,
    packages: { ipykernel: '7.4.0', ipython: '9.18.1', cloudpickle: '3.1.2' },
    ...changes,
  }
}

describe('versions', () => {
  test.each([
    ['3.10', [3, 10], true],
    ['3.9.18', [3, 10], false],
    ['8.24.0rc1', [8, 24], true],
    ['8', [8, 24], false],
    ['v20.20.2', [20, 20], true],
    ['10.0', [9, 9], true],
  ])('%s is at least %j: %s', (text, least, answer) => {
    expect(isAtLeast(parseVersion(text), least)).toBe(answer)
  })

  test('what is no version is older than everything', () => {
    expect(isAtLeast(parseVersion('unknown'), [0])).toBe(false)
    expect(isAtLeast(parseVersion(null), [0])).toBe(false)
  })
})

describe('looking for a Python', () => {
  const env = { PATH: '/shims:relative::/usr/bin' }

  test('every folder of PATH is tried for the newest name before the next name is', () => {
    const all = candidatePaths(env, () => true)
    expect(all.slice(0, 3)).toEqual(['/shims/python3.13', '/usr/bin/python3.13', '/shims/python3.12'])
    expect(all).toHaveLength(PYTHON_NAMES.length * 2)
  })

  test('an empty PATH finds nothing', () => {
    expect(candidatePaths({ PATH: '' }, () => true)).toEqual([])
    expect(candidatePaths({}, () => true)).toEqual([])
  })

  test('a bare name is looked up on PATH, a path is taken as it is', () => {
    expect(locate('python3.12', env, '/home', (path) => path === '/usr/bin/python3.12')).toBe('/usr/bin/python3.12')
    expect(locate('venv/bin/python', env, '/home', () => true)).toBe('/home/venv/bin/python')
    expect(locate('/opt/python', env, '/home', () => false)).toBeNull()
    expect(locate('nope', env, '/home', () => false)).toBeNull()
  })

  test('the newest that can make environments is chosen', () => {
    const bare = interpreter({ path: '/a', hasVenv: false })
    const good = interpreter({ path: '/b' })
    expect(choose([bare, good])).toBe(good)
  })

  test.each([
    ['PYTHON_NOT_FOUND', []],
    ['PYTHON_TOO_OLD', [interpreter({ version: [3, 9, 18] })]],
    ['PYTHON_NOT_FOUND', [interpreter({ implementation: 'pypy' })]],
    ['PYTHON_NO_VENV', [interpreter({ version: [3, 8, 0] }), interpreter({ hasVenv: false })]],
  ])('%s when nothing else is there', (code, answered) => {
    expect(() => choose(answered)).toThrow(expect.objectContaining({ code }))
  })

  test('the error about a missing venv names the package to install', () => {
    expect(() => choose([interpreter({ hasVenv: false })])).toThrow(/apt install python3\.11-venv/)
  })

  test('a newer Python than the tested ones is not refused', () => {
    expect(unfitness(interpreter({ version: [3, 14, 0] }))).toBeNull()
  })
})

describe('the answer of an interpreter', () => {
  const answer = {
    version: [3, 12, 1],
    implementation: 'cpython',
    prefix: '/p',
    search_path: ['/p/lib'],
    venv: true,
    pip: false,
  }

  test('is the last line, whatever was printed before', () => {
    const lines = ['hello from sitecustomize', '', JSON.stringify({ ...answer, packages: { ipython: '9.0.0' } })]
    expect(readProbe('/p/bin/python', lines)).toEqual({
      path: '/p/bin/python',
      version: [3, 12, 1],
      implementation: 'cpython',
      prefix: '/p',
      searchPath: ['/p/lib'],
      hasVenv: true,
      hasPip: false,
      packages: { ipykernel: null, ipython: '9.0.0', cloudpickle: null },
    })
  })

  test.each([[[]], [['']], [['not JSON']], [['{}']], [['{"version": "3.12", "packages": {}}']]])(
    'is refused: %j',
    (lines) => {
      expect(readProbe('/p/bin/python', lines)).toBeNull()
    },
  )
})

describe('what an interpreter lacks', () => {
  const packages = { ipykernel: '7.4.0', ipython: '9.18.1', cloudpickle: '3.1.2' }

  test.each([
    ['nothing', {}],
    ['cloudpickle', { cloudpickle: null }],
    ['everything', { ipykernel: null }],
    ['everything', { ipykernel: '6.29.5' }],
    ['everything', { ipython: '8.12.3' }],
    ['everything', { ipython: null, ipykernel: null, cloudpickle: null }],
  ])('%s', (answer, changes) => {
    expect(lacking(interpreter({ packages: { ...packages, ...changes } }))).toBe(answer)
  })
})

describe('the locked list', () => {
  const lock = [
    '# made by hand',
    'cloudpickle==3.1.2 \\',
    '    --hash=sha256:aa \\',
    '    --hash=sha256:bb',
    "ipython==8.39.0 ; python_full_version < '3.11' \\",
    '    --hash=sha256:cc',
    "ipython==9.18.1 ; python_full_version >= '3.11' \\",
    '    --hash=sha256:dd',
    '',
  ].join('\n')

  test('counts a distribution once', () => {
    expect(countRequirements(lock)).toBe(2)
  })

  test('gives single entries with all their hashes', () => {
    expect(pickRequirements(lock, ['cloudpickle'])).toBe(lock.split('\n').slice(1, 4).join('\n') + '\n')
    expect(pickRequirements(lock, ['ipython']).match(/--hash/g)).toHaveLength(2)
  })

  test('another list, interpreter, version or use is another folder', () => {
    const base = interpreter()
    const keys = [
      environmentKey(lock, base, 'environment'),
      environmentKey(`${lock}#`, base, 'environment'),
      environmentKey(lock, { ...base, path: '/other' }, 'environment'),
      environmentKey(lock, { ...base, version: [3, 11, 8] }, 'environment'),
      environmentKey(lock, base, 'everything'),
    ]
    expect(new Set(keys).size).toBe(keys.length)
    expect(environmentKey(lock, interpreter(), 'environment')).toBe(keys[0])
  })
})

describe('a failed installation', () => {
  const failed = (tail: string[]) => installFailure({ code: 1, failure: null, stdout: [], tail })

  test('says that the network is missing instead of what follows from it', () => {
    const tail = ['WARNING: Retrying ... NewConnectionError', 'ERROR: No matching distribution found for comm==0.2.3']
    expect(failed(tail).message).toContain('the package index cannot be reached')
  })

  test('says what the installer said', () => {
    expect(failed(['ERROR: No matching distribution found for comm==0.2.3']).message).toContain('comm==0.2.3')
  })

  test('names a wrong hash as what it is', () => {
    expect(failed(['ERROR: THESE PACKAGES DO NOT MATCH THE HASHES']).message).toContain('not the one of the list')
  })

  test('has a code to branch on, and the output in its details', () => {
    expect(failed(['x'])).toMatchObject({ code: 'PROVISION_FAILED', details: { step: 'install', said: 'x' } })
  })
})
