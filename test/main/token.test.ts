import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packageRoot } from '../../src/config.js'

const PROGRAM = join(packageRoot, 'build', 'src', 'main.js')
let dataDir = ''
beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'savepoint-token-'))
})
afterAll(() => rmSync(dataDir, { recursive: true }))

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function token(...args: string[]): Promise<Outcome> {
  const run = promisify(execFile)(process.execPath, [PROGRAM, 'token', ...args], {
    timeout: 60_000,
    env: { ...process.env, SAVEPOINT_DATA_DIR: dataDir },
  })
  return await run.then(
    (done) => ({ code: 0, ...done }),
    (failed: Outcome) => ({ code: failed.code, stdout: failed.stdout, stderr: failed.stderr }),
  )
}

describe('savepoint token', () => {
  test('shows a token once, lists what it allows, and revokes it', async () => {
    const made = await token(
      'create',
      '--subject',
      'alice',
      '--scope',
      'kernels:read',
      '--scope=sessions:*',
      '--expires',
      '2h',
    )
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/) })
    const listed = await token('list', '--json')
    const { items, total_count: total } = JSON.parse(listed.stdout) as { items: { id: string }[]; total_count: number }
    expect(total).toBe(1)
    expect(items[0]).toMatchObject({
      subject: 'alice',
      scopes: ['kernels:read', 'sessions:read', 'sessions:write', 'sessions:execute'],
      revoked: false,
    })
    expect(listed.stdout).not.toContain(made.stdout.trim())
    const id = items[0]?.id ?? ''
    expect(await token('revoke', id)).toMatchObject({ code: 0 })
    expect((await token('list')).stdout).toMatch(new RegExp(`^${id} .*revoked$`, 'm'))
  })

  test('says what it made as one object', async () => {
    const { stdout, stderr } = await token('create', '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      token: expect.any(String),
      id: expect.stringMatching(/^tok_/),
      subject: 'local',
      expires_at: null,
    })
    expect(stderr).toBe('')
  })

  test.each([
    [2, ['']],
    [2, ['create', '--scope', 'kernels:all']],
    [2, ['create', '--scope', 'root']],
    [2, ['create', '--expires', '5']],
    [2, ['create', '--expires', '0s']],
    [2, ['create', '--expires', '99999w']],
    [2, ['create', '--subject=']],
    [2, ['create', 'alice']],
    [2, ['revoke']],
    [2, ['revoke', 'a', 'b']],
    [3, ['revoke', 'tok_nobody']],
    [3, ['revoke', '../../x']],
  ])('ends with %i after %j', async (code, args) => {
    expect(await token(...args)).toMatchObject({ code, stdout: '' })
  })
})
