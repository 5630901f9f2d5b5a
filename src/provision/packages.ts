/** Installs a locked list: only wheels, only with the hashes of the list, by uv where it is found, else by pip. */
import type { Environment } from '../config.js'
import { config } from '../config.js'
import { SavepointError } from '../errors.js'
import type { CommandResult, RunCommand } from './command.js'
import { isolated, runCommand } from './command.js'
import { isExecutable } from './find.js'
import { locate } from './interpreter.js'
import { countRequirements } from './plan.js'

export type Progress = (line: string) => void

export interface Installation {
  /** The interpreter that the packages are for. */
  readonly python: string
  /** Runs pip; differs from `python` when that one has no pip, or may not be touched. */
  readonly pip: string
  /** A folder of their own; null: the environment of `python`. */
  readonly target: string | null
  readonly lockPath: string
  readonly lock: string
}

/** Throws PROVISION_FAILED with what the installer said. */
export async function installPackages(
  job: Installation,
  env: Environment,
  progress: Progress,
  run: RunCommand = runCommand,
): Promise<void> {
  const uv = locate('uv', env, '/', isExecutable)
  if (uv !== null) {
    progress(`Installing ${countRequirements(job.lock)} packages with uv`)
    if ((await run(uvCommand(uv, job), { deadlineMs: config.packageInstallMs, env: isolated(env) })).code === 0) return
    // uv has its own settings for indexes and certificates, and these may be missing where pip's are not.
    progress('uv could not install them; trying pip')
  }
  progress(`Installing at most ${countRequirements(job.lock)} packages with pip (10 to 60 s)`)
  const result = await run(pipCommand(job), {
    deadlineMs: config.packageInstallMs,
    env: isolated(env),
    // `-m` looks in the working folder first; nobody but the administrator can have put a pip there.
    cwd: '/',
    onLine: collectingProgress(progress),
  })
  if (result.code !== 0) throw installFailure(result)
}

function uvCommand(uv: string, { python, target, lockPath }: Installation): string[] {
  const place = target === null ? [] : ['--target', target]
  const safety = ['--require-hashes', '--only-binary', ':all:', '--no-deps']
  return [
    uv,
    'pip',
    'install',
    '--no-progress',
    '--compile-bytecode',
    '--python',
    python,
    ...place,
    ...safety,
    '-r',
    lockPath,
  ]
}

// The list is complete, so dependencies are not looked for; and the few retries are for a line that drops, not for one
// that is not there.
function pipCommand({ pip, target, lockPath }: Installation): string[] {
  const place = target === null ? [] : ['--target', target, '--no-warn-script-location']
  const safety = ['--require-hashes', '--only-binary', ':all:', '--no-deps', '--no-input', '--retries', '2']
  return [pip, '-m', 'pip', 'install', ...place, ...safety, '-r', lockPath]
}

function collectingProgress(progress: Progress): (line: string) => void {
  let count = 0
  return (line) => {
    const name = /^Collecting ([^\s;(]+)/.exec(line)?.[1]
    if (name !== undefined) progress(`  ${++count}. ${name.replace('==', ' ')}`)
    else if (line.startsWith('Installing collected packages')) progress('  unpacking')
  }
}

/** pip's own last complaint says more than anything that could be said here, but for a network that is not there. */
export function installFailure(result: CommandResult): SavepointError {
  const said = result.tail.join('\n')
  const complaint =
    result.failure ?? result.tail.findLast((line) => /^error\b/i.test(line)) ?? `exit code ${result.code}`
  const unreachable = /connection|resolution|resolve|unreachable|timed out|max retries|proxyerror|ssl/i.test(said)
  const reason = unreachable
    ? 'the package index cannot be reached'
    : complaint.replace(/^error:\s*/i, '').replace(/\.$/, '')
  const remedy = /hash/i.test(complaint)
    ? 'A downloaded file is not the one of the list: check the package index or proxy that pip is configured for'
    : 'Check the network connection and the package index that pip is configured for'
  const message = `Installing the Python packages failed: ${reason}. ${remedy}, then run the same command again.`
  return new SavepointError('PROVISION_FAILED', message, { step: 'install', said })
}
