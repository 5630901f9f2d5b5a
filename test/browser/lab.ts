/** A real JupyterLab in a process of its own. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { described, family, kill, outlived } from './processes.js'

export interface CellOfNotebook {
  readonly id: string
  readonly tags: readonly string[]
}

export interface Lab {
  readonly url: string
  readonly token: string
  /** The folder of its notebooks. */
  readonly root: string
  /** The cells of each notebook, by its name. */
  readonly notebooks: Readonly<Record<string, readonly CellOfNotebook[]>>
  /** All its processes. */
  processes(): number[]
  /** Processes of the kernels that it runs now. */
  kernelProcesses(): number[]
  /** Ends the server and what it started. Returns the processes that an orderly end would have left behind: ended, too. */
  stop(): Promise<string[]>
}

export interface LabOptions {
  /** Put behind those of `jupyter lab`. */
  readonly arguments?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

const START_WITHIN_MS = 60_000
const RETRY_MS = 50
const STOP_WITHIN_MS = 60_000

/**
 * Starts JupyterLab with a Python that has it. Its log goes to stderr.
 *
 * The tests are compiled into another folder than their sources, and `lab.py` is not copied there.
 */
export async function startLab(python: string, sources: URL, options: LabOptions = {}): Promise<Lab> {
  const server = spawn(python, [fileURLToPath(new URL('lab.py', sources)), ...(options.arguments ?? [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...options.environment },
  })
  const exited = new Promise<void>((resolve) => server.once('close', () => resolve()))
  const { pid } = server
  const stop = async (): Promise<string[]> => {
    if (pid === undefined) return []
    const members = family(pid)
    server.kill('SIGTERM')
    const late = setTimeout(() => server.kill('SIGKILL'), STOP_WITHIN_MS)
    await exited
    clearTimeout(late)
    // Those of ours that still run have been left to another parent.
    const left = await outlived(members)
    const told = left.map(described)
    kill(left)
    return told
  }
  try {
    const lines = createInterface({ input: server.stdout })
    const signal = AbortSignal.timeout(START_WITHIN_MS)
    const ended = exited.then(() => {
      throw new Error('JupyterLab ended before it accepted connections; its log is above.')
    })
    const [line] = (await Promise.race([once(lines, 'line', { signal }), ended])) as [string]
    const facts = JSON.parse(line) as Pick<Lab, 'url' | 'token' | 'root' | 'notebooks'>
    await Promise.race([answering(`${facts.url}api?token=${facts.token}`, signal), ended])
    return { ...facts, processes: () => family(pid ?? 0), kernelProcesses: () => family(pid ?? 0).slice(1), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** It has its port some time before it listens there. */
async function answering(url: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    const isThere = await fetch(url, { signal }).then(
      (answer) => answer.ok,
      () => false,
    )
    if (isThere) return
    signal.throwIfAborted()
    await sleep(RETRY_MS)
  }
}
