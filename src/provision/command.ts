/** Running another program to its end: with a deadline, its lines as they come, and the last of them for an error. */
import type { ChildProcessByStdio } from 'node:child_process'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Environment } from '../config.js'
import { config } from '../config.js'

export interface CommandOptions {
  readonly deadlineMs: number
  readonly env?: Environment
  readonly cwd?: string
  /** Called for each line of stdout and stderr, as they arrive. */
  readonly onLine?: (line: string) => void
}

export interface CommandResult {
  /** Null when a signal ended it, or when it could not be started. */
  readonly code: number | null
  /** Why there is no code, in words; null for a program that ran to its end. */
  readonly failure: string | null
  readonly stdout: readonly string[]
  /** The last lines of both streams, in the order of arrival. */
  readonly tail: readonly string[]
}

export type RunCommand = (argv: readonly string[], options: CommandOptions) => Promise<CommandResult>

/** Never rejects: a program that is missing, hangs or dies is a result too. */
export const runCommand: RunCommand = (argv, options) =>
  new Promise((done) => {
    const stdout: string[] = []
    const tail: string[] = []
    let failure: string | null = null
    const child = start(argv, options)
    if (typeof child === 'string') {
      done({ code: null, failure: child, stdout, tail })
      return
    }
    const deadline = setTimeout(() => {
      failure = `no end after ${Math.round(options.deadlineMs / 1000)} s`
      child.kill('SIGKILL')
      // A grandchild may hold the pipes open for longer than anybody wants to wait.
      child.stdout.destroy()
      child.stderr.destroy()
    }, options.deadlineMs)
    const listen = (stream: NodeJS.ReadableStream, kept: string[] | null): void => {
      // Lines of a pipe that was torn down at the deadline are of no interest; the result says what happened.
      stream.on('error', () => {})
      createInterface({ input: stream }).on('line', (line) => {
        kept?.push(line)
        tail.push(line)
        if (tail.length > config.commandOutputLinesMax) tail.shift()
        options.onLine?.(line)
      })
    }
    listen(child.stdout, stdout)
    listen(child.stderr, null)
    const finish = (code: number | null): void => {
      clearTimeout(deadline)
      done({ code, failure, stdout, tail })
    }
    child.once('error', (error) => {
      failure = error.message
      finish(null)
    })
    child.once('close', (code, signal) => {
      if (signal !== null) failure ??= `ended by ${signal}`
      finish(code)
    })
  })

// Most reasons not to start come as an event, but some (a path below a file, for one) are thrown.
function start(
  [program = '', ...rest]: readonly string[],
  { cwd, env }: CommandOptions,
): ChildProcessByStdio<null, Readable, Readable> | string {
  try {
    return spawn(program, rest, { cwd, env: { ...(env ?? process.env) }, stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    return (error as Error).message
  }
}

/** The environment without what would bend Python or pip away from the folder that they are told to use. */
export function isolated(env: Environment): Environment {
  const bending =
    /^(PYTHON(PATH|HOME|STARTUP|USERBASE|PLATLIBDIR)|PIP_(USER|TARGET|PREFIX|ROOT|REQUIREMENT|CONSTRAINT|REQUIRE_VIRTUALENV|NO_BINARY|ONLY_BINARY|DRY_RUN|PYTHON)|UV_(PYTHON|TARGET|PREFIX|CONSTRAINT|NO_BINARY|SYSTEM_PYTHON|PROJECT_ENVIRONMENT)|VIRTUAL_ENV|CONDA_PREFIX|__PYVENV_LAUNCHER__)$/
  const kept = Object.entries(env).filter(([name]) => !bending.test(name))
  return {
    ...Object.fromEntries(kept),
    PIP_USER: '0',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    UV_PYTHON_DOWNLOADS: 'never',
  }
}
