/** A real JupyterLab in a process of its own. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { family, kill } from './processes.js'

export interface CellOfNotebook {
  readonly id: string
  readonly tags: readonly string[]
}

export interface Lab {
  readonly url: string
  readonly token: string
  /** The cells of each notebook, by its name. */
  readonly notebooks: Readonly<Record<string, readonly CellOfNotebook[]>>
  /** Processes of the kernels that it runs now. */
  kernelProcesses(): number[]
  /** Ends the server and what it started. Returns the processes that an orderly end would have left behind: ended, too. */
  stop(): Promise<number[]>
}

const START_WITHIN_MS = 60_000
const STOP_WITHIN_MS = 10_000

/**
 * Starts JupyterLab with a Python that has it. Its log goes to stderr.
 *
 * The tests are compiled into another folder than their sources, and `lab.py` is not copied there.
 */
export async function startLab(python: string, sources: URL): Promise<Lab> {
  const server = spawn(python, [fileURLToPath(new URL('lab.py', sources))], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = new Promise<void>((resolve) => server.once('close', () => resolve()))
  const { pid } = server
  const stop = async (): Promise<number[]> => {
    if (pid === undefined) return []
    const members = family(pid)
    server.kill('SIGTERM')
    const late = setTimeout(() => server.kill('SIGKILL'), STOP_WITHIN_MS)
    await exited
    clearTimeout(late)
    // Those of ours that still run have been left to another parent.
    const left = members.filter((member) => family(member).length > 0)
    kill(left)
    return left
  }
  try {
    const lines = createInterface({ input: server.stdout })
    const signal = AbortSignal.timeout(START_WITHIN_MS)
    const ended = exited.then(() => {
      throw new Error('JupyterLab ended before it accepted connections; its log is above.')
    })
    const [line] = (await Promise.race([once(lines, 'line', { signal }), ended])) as [string]
    const { url, token, notebooks } = JSON.parse(line) as Pick<Lab, 'url' | 'token' | 'notebooks'>
    return { url, token, notebooks, kernelProcesses: () => family(pid ?? 0).slice(1), stop }
  } catch (error) {
    await stop()
    throw error
  }
}
