/** The private folder of one running kernel: its link socket, its named pipes, and a note on interrupts. */

import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
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
  return runtimeDirAt(path)
}

/** A folder that outlives its process: what lives in it is found again. Made if there is none; noted as this process's. */
export function keepRuntimeDir(root: string, name: string): RuntimeDir {
  const path = join(root, name)
  makeFolder(path, 0o700)
  writeFileSync(join(path, OWNER), String(process.pid), { mode: 0o600 })
  return runtimeDirAt(path)
}

function runtimeDirAt(path: string): RuntimeDir {
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
/** Pid of the gateway that a folder belongs to. */
const OWNER = 'owner'

/** null: it is not there, or no more. */
function readQuietly(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** Removes what kernels, gateways and lingering zygotes that were killed left behind. */
export function sweep(root: string, now: Date): void {
  for (const name of readdirSync(root)) {
    const path = join(root, name)
    const pid = /^k(\d+)$/.exec(name)?.[1]
    const isGateways = /^g[0-9a-f]{8}$/.test(name)
    const left = isGateways ? isForsaken(path, now) : pid === undefined ? isOldSocket(path, now) : !isAlive(Number(pid))
    if (left) rmSync(path, { recursive: true, force: true })
  }
}

/** A gateway's folder without a gateway, that nobody is at home in, and that was not touched lately. */
function isForsaken(path: string, now: Date): boolean {
  const touched = statSync(join(path, OWNER), { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (now.getTime() - touched < FORSAKEN_MS) return false
  return !isAlive(Number(readQuietly(join(path, OWNER)) ?? '0') || UNUSED_PID) && !isUsed(path)
}

/** Whether a process of ours has a pipe of the folder for its output, as every worker has. */
function isUsed(path: string): boolean {
  return readdirSync('/proc').some(
    (pid) => /^\d+$/.test(pid) && (linkOf(`/proc/${pid}/fd/1`) ?? '').startsWith(`${path}/`),
  )
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch {
    return null
  }
}

/** Without a gateway workers end by themselves, after a time that is set; no setting of one gateway says that of another. */
const FORSAKEN_MS = 3_600_000
/** More than any system gives. */
const UNUSED_PID = 2 ** 30

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
