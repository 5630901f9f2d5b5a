/** A kernel as a process of its own, started from an argv such as a kernelspec has. */

import { spawn, type ChildProcess } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const END_MS = 8_000

/** The kernel listens on unix sockets in a folder of its own, so that no two tests want the same port. */
export interface ConnectionFile {
  readonly ip: string
  readonly key: string
  readonly ports: Readonly<Record<'shell' | 'iopub' | 'stdin' | 'control' | 'hb', number>>
}

export class KernelProcess {
  readonly connection: ConnectionFile
  /** The exit code, or 128 + signal; resolves when the process has ended. */
  readonly ended: Promise<number>
  readonly #process: ChildProcess
  readonly #folder: string
  #errors = ''

  /** `argv` holds `{connection_file}` where its path belongs; the kernel's data folder begins as a copy of `data`. */
  constructor(argv: readonly string[], data: string | null) {
    this.#folder = mkdtempSync(join(tmpdir(), 'savepoint-test-'))
    const file = join(this.#folder, 'connection.json')
    this.connection = {
      ip: join(this.#folder, 's'),
      key: 'a key for tests',
      ports: { shell: 1, iopub: 2, stdin: 3, control: 4, hb: 5 },
    }
    const { ip, key, ports } = this.connection
    const named = Object.fromEntries(Object.entries(ports).map(([name, port]) => [`${name}_port`, port]))
    writeFileSync(file, JSON.stringify({ transport: 'ipc', signature_scheme: 'hmac-sha256', ip, key, ...named }), {
      mode: 0o600,
    })
    if (data !== null) cpSync(data, join(this.#folder, 'data'), { recursive: true })
    const [program = '', ...args] = argv.map((each) => each.replace('{connection_file}', file))
    const child = spawn(program, args, {
      // Everything that a kernel keeps goes into the folder, and away with it.
      env: {
        ...process.env,
        SAVEPOINT_DATA_DIR: join(this.#folder, 'data'),
        IPYTHONDIR: join(this.#folder, 'ipython'),
      },
      cwd: this.#folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    })
    child.stderr?.on('data', (text: Buffer) => {
      this.#errors = (this.#errors + text.toString()).slice(-4_000)
    })
    this.#process = child
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#errors += error.message
        resolve(127)
      })
      child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 143)))
    })
  }

  /** The end of what it wrote to stderr. */
  get errors(): string {
    return this.#errors
  }

  /** Resolves once the process is gone. */
  async end(): Promise<void> {
    this.#process.kill('SIGTERM')
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), END_MS)
    await this.ended
    clearTimeout(timer)
    this.#process.stderr?.destroy()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
