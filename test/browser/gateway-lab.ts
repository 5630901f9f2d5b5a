/** JupyterLab as it runs in front of a real gateway: as it is, and with the connection class that passes on buffers. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startLab, type Lab } from './lab.js'
import { described, family, kill, outlived } from './processes.js'

const ROOT = new URL('../../../', import.meta.url)
const START_WITHIN_MS = 60_000
const STOP_WITHIN_MS = 60_000

export interface RunningGateway {
  readonly url: string
  readonly token: string
  /** Its processes: the one that serves, and the others. */
  processes(): number[]
  /** The others. */
  workerProcesses(): number[]
  /** A request with the token; the answer's body, or null where there is none. Throws when it is refused. */
  ask(method: string, path: string, body?: object): Promise<unknown>
  /** Ends it. Returns the processes that an orderly end would have left behind: ended, too. */
  stop(): Promise<string[]>
}

/** The JupyterLab with our connection class, and beside it the one without. */
export interface LabWithGateway extends Lab {
  readonly stock: Lab
  readonly gateway: RunningGateway
}

export async function startLabWithGateway(python: string, sources: URL): Promise<LabWithGateway> {
  const gateway = await startGateway(python)
  const environment = {
    JUPYTER_GATEWAY_AUTH_TOKEN: gateway.token,
    PYTHONPATH: fileURLToPath(new URL('src/python/savepoint_gateway_client', ROOT)),
  }
  const connect = `--gateway-url=${gateway.url}`
  const ours = '--ServerApp.kernel_websocket_connection_class=savepoint_gateway_client.Connection'
  const started = await Promise.allSettled([
    startLab(python, sources, { arguments: [connect, ours], environment }),
    startLab(python, sources, { arguments: [connect], environment }),
  ])
  const labs = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const stop = async (): Promise<string[]> => {
    const left = await Promise.all(labs.map((lab) => lab.stop()))
    return [...left.flat(), ...(await gateway.stop())]
  }
  const kernelProcesses = gateway.workerProcesses
  const [lab, stock] = labs.map((each) => ({ ...each, kernelProcesses }))
  if (lab === undefined || stock === undefined) {
    await stop()
    throw new Error('JupyterLab did not start; its log is above.')
  }
  return { ...lab, stock, gateway, stop }
}

/**
 * `savepoint serve` on any free port, with folders of its own, and with this data folder if one is to outlive it. Its
 * log goes to stderr.
 */
export async function startGateway(python: string, data: string | null = null): Promise<RunningGateway> {
  const home = mkdtempSync(join(tmpdir(), 'savepoint-gateway-'))
  const folder = (name: string): string => {
    mkdirSync(join(home, name), { mode: 0o700 })
    return join(home, name)
  }
  const program = fileURLToPath(new URL('dist/main.js', ROOT))
  const server = spawn(process.execPath, [program, 'serve', '--port', '0', '--json', '--log-level', 'warn'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: folder('work'),
    env: {
      ...userEnvironment(),
      SAVEPOINT_PYTHON: python,
      SAVEPOINT_DATA_DIR: data ?? folder('data'),
      IPYTHONDIR: folder('ipython'),
      MPLCONFIGDIR: folder('matplotlib'),
      JUPYTER_RUNTIME_DIR: folder('runtime'),
    },
  })
  const exited = new Promise<void>((resolve) => server.once('close', () => resolve()))
  const { pid = 0 } = server
  const stop = async (): Promise<string[]> => {
    const members = family(pid)
    server.kill('SIGTERM')
    const late = setTimeout(() => server.kill('SIGKILL'), STOP_WITHIN_MS)
    await exited
    clearTimeout(late)
    const left = await outlived(members)
    const told = left.map(described)
    kill(left)
    rmSync(home, { recursive: true, force: true })
    return told
  }
  try {
    const ended = exited.then(() => {
      throw new Error('The gateway ended before it accepted connections; its log is above.')
    })
    const signal = AbortSignal.timeout(START_WITHIN_MS)
    const [line] = (await Promise.race([
      once(createInterface({ input: server.stdout }), 'line', { signal }),
      ended,
    ])) as [string]
    const { url, token } = JSON.parse(line) as { url: string; token: string }
    const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { authorization: `token ${token}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(START_WITHIN_MS),
      })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
      return text === '' ? null : JSON.parse(text)
    }
    return { url, token, processes: () => family(pid), workerProcesses: () => family(pid).slice(1), ask, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Without the variables that tell tests what to do: to the gateway each is a setting that it does not know. */
function userEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SAVEPOINT_')))
}
