/** The private folder of one running kernel: its link socket, its named pipes, and a note on interrupts. */

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { SavepointError } from '../errors.js'
import { makeFolder } from '../folders.js'

export interface RuntimeDir {
  readonly path: string
  readonly link: string
  readonly stdout: string
  readonly stderr: string
  /** What the latest interrupt was meant for. */
  readonly interrupts: string
  remove(): void
}

/** The folder that all kernels of a user share, mode 0700; `XDG_RUNTIME_DIR` where there is one. */
export function runtimeRoot(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const { uid } = userInfo()
  const root = join(env['XDG_RUNTIME_DIR'] || tmpdir(), `savepoint-${uid}`)
  makeFolder(root, 0o700)
  const found = statSync(root)
  // In a shared /tmp somebody else might have made it first, to listen in.
  if (found.uid !== uid || (found.mode & 0o077) !== 0) {
    throw new SavepointError(
      'LINK_REFUSED',
      `The folder ${root} belongs to somebody else or is open to others. Remove it, or set XDG_RUNTIME_DIR.`,
    )
  }
  return root
}

/** Makes the folder of this process. Its name carries the pid, so that what a killed one left can be told apart. */
export function makeRuntimeDir(root: string, name = `k${process.pid}`): RuntimeDir {
  const path = join(root, name)
  rmSync(path, { recursive: true, force: true })
  mkdirSync(path, { mode: 0o700 })
  return {
    path,
    link: join(path, 'link'),
    stdout: join(path, 'stdout'),
    stderr: join(path, 'stderr'),
    interrupts: join(path, 'interrupts'),
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}

/** Says in the folder of a kernel, which runs for itself, with which data folder it does. */
export function noteDataDir(dir: RuntimeDir, dataDir: string): void {
  try {
    writeFileSync(join(dir.path, DATA_DIR), dataDir, { mode: 0o600 })
  } catch {
    // Then nobody who asks is told of it; it runs all the same.
  }
}

/** Pids of the kernels that said that of this data folder, whether they still live or not. */
export function kernelsWith(root: string, dataDir: string): readonly number[] {
  return readdirSync(root).flatMap((name) => {
    const pid = /^k(\d+)$/.exec(name)?.[1]
    return pid !== undefined && readQuietly(join(root, name, DATA_DIR)) === dataDir ? [Number(pid)] : []
  })
}

const DATA_DIR = 'data-dir'

/** null: it is not there, or no more. */
function readQuietly(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** Removes what kernels and lingering zygotes that were killed left behind. */
export function sweep(root: string, now: Date): void {
  for (const name of readdirSync(root)) {
    const path = join(root, name)
    const pid = /^k(\d+)$/.exec(name)?.[1]
    const left = pid === undefined ? isOldSocket(path, now) : !isAlive(Number(pid))
    if (left) rmSync(path, { recursive: true, force: true })
  }
}

/** Zygotes linger for seconds, so a rendezvous that was opened a minute ago has nobody behind it. */
function isOldSocket(path: string, now: Date): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  return found?.isSocket() === true && now.getTime() - found.mtimeMs > 60_000
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
