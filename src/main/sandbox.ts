/**
 * The sandbox in which a zygote and all its kernels run, as arguments of bubblewrap.
 *
 * Seen in it: the system (read-only), the Python that runs there (read-only), the working folder of its user, a /tmp and a
 * home of its own, the folder with the sockets and pipes of this zygote, and its user's desk of checkpoints. It has a user
 * namespace of its own, so that nothing outside can be traced or read through /proc, and nothing of the gateway's
 * privileges. It has no namespace of processes: the gateway knows and signals them by their numbers. Signals from inside
 * to the outside are stopped by Landlock, where the system has that (Linux 6.12).
 */

import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { places } from '../config.js'
import { SavepointError } from '../errors.js'
import type { Desk } from './desk.js'

export interface SandboxRules {
  readonly bwrap: string
  readonly network: boolean
  readonly readable: readonly string[]
  readonly writable: readonly string[]
  /** Where kernels of that user work; it is made if it is not there. */
  readonly rootOf: (tenant: string) => string
  readonly deskOf: (tenant: string) => Desk
  /** Never seen, wherever they lie: data folder, sockets and pipes of others, connection files. */
  readonly hidden: readonly string[]
}

const SYSTEM = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']
/** What in /proc even a user without privileges might change, if it is root's number. */
const PROC_READ_ONLY = ['/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus', '/proc/fs']
const READABLE = ['/etc', '/opt', '/run/systemd/resolve', '/sys/devices/system']

/** For a zygote of that Python and that user; `folder` holds its sockets and pipes. */
export function sandboxArguments(
  rules: SandboxRules,
  python: { readonly python: string; readonly stack: string | null },
  tenant: string,
  folder: string,
): readonly string[] {
  const { bwrap, network, readable, writable, rootOf, deskOf, hidden } = rules
  const root = rootOf(tenant)
  const desk = deskOf(tenant)
  const readOnly = [...pythonFolders(python.python), python.stack ?? '', places.python, ...readable].filter(Boolean)
  return [
    ...[bwrap, '--unshare-user', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try', '--cap-drop', 'ALL'],
    ...(network ? [] : ['--unshare-net']),
    ...['--ro-bind', '/usr', '/usr'],
    ...SYSTEM.flatMap(systemFolder),
    ...READABLE.flatMap((path) => ['--ro-bind-try', path, path]),
    ...['--dev', '/dev', '--bind', '/proc', '/proc'],
    ...PROC_READ_ONLY.flatMap((path) => ['--ro-bind-try', path, path]),
    ...['--tmpfs', '/tmp', '--tmpfs', '/var/tmp', '--tmpfs', homedir()],
    ...[root, ...writable].flatMap((path) => ['--bind', path, path]),
    ...hidden.flatMap((path) => ['--tmpfs', path]),
    ...readOnly.flatMap((path) => ['--ro-bind', path, path]),
    ...[folder, desk.drafts].flatMap((path) => ['--bind', path, path]),
    ...['--ro-bind', desk.packs, desk.packs],
    ...['--unsetenv', 'TMPDIR', '--unsetenv', 'XDG_RUNTIME_DIR', '--chdir', root, '--'],
  ]
}

/** Is a folder that exists there in the sandbox of these arguments, too? */
export function isSeenIn(sandbox: readonly string[], folder: string): boolean {
  // A link has to be there, and what it leads to.
  return [folder, realpathSync(folder)].every((path) => isMounted(sandbox, path))
}

function isMounted(sandbox: readonly string[], path: string): boolean {
  let isThere = false
  // What is mounted later covers what was there.
  for (const [at, argument] of sandbox.entries()) {
    const isBind = argument === '--bind' || argument === '--ro-bind' || argument === '--ro-bind-try'
    if (!isBind && argument !== '--tmpfs' && argument !== '--dev') continue
    const target = sandbox[at + (isBind ? 2 : 1)] ?? ''
    if (path === target) isThere = true
    else if (path.startsWith(`${target}/`)) isThere = isBind
  }
  return isThere
}

function systemFolder(path: string): readonly string[] {
  if (!existsSync(path)) return []
  return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path]
}

/** Where an interpreter and what it imports lie: a virtual environment, and the Python that it was made of. */
function pythonFolders(python: string): readonly string[] {
  const folders = new Set([dirname(dirname(python)), dirname(dirname(realpathSync(python)))])
  try {
    const home = /^home\s*=\s*(.+)$/m.exec(readFileSync(join(dirname(dirname(python)), 'pyvenv.cfg'), 'utf8'))?.[1]
    if (home !== undefined)
      folders.add(dirname(home.trim())).add(dirname(dirname(realpathSync(join(home.trim(), 'python3')))))
  } catch {
    // It is no virtual environment, or its home has another name for it.
  }
  return [...folders].filter((folder) => folder !== '/' && !folder.startsWith('/usr'))
}

/** The program, which is tried once. Throws USAGE that says what to do if there is none, or if it is not allowed to work. */
export function findBwrap(path = process.env['PATH'] ?? ''): string {
  const found = path
    .split(delimiter)
    .map((folder) => resolve(folder, 'bwrap'))
    .find(existsSync)
  if (found === undefined) {
    throw usage('bubblewrap is not installed: install it (apt-get install bubblewrap, dnf install bubblewrap)')
  }
  const tried = spawnSync(found, ['--unshare-user', '--ro-bind', '/', '/', '--', '/bin/true'], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  if (tried.status !== 0) {
    const said = (tried.stderr || tried.error?.message || '').trim().slice(0, 300)
    throw usage(`bubblewrap does not work here (${said}): allow user namespaces, see docs/deployment.md`)
  }
  return found
}

function usage(what: string): SavepointError {
  return new SavepointError('USAGE', `Kernels are to run in a sandbox, but ${what}, or set sandbox.enabled to off.`)
}

/** The working folder of one user: in `root` the name stands where `{user}` is. It is made, for that user alone. */
export function rootOfUser(root: string, tenant: string): string {
  if (!root.includes('{user}')) return root
  const name = tenant.replace(/[^A-Za-z0-9_@.-]|^\.+/g, (text) => encodeURIComponent(text).replaceAll('.', '%2E'))
  const folder = root.replaceAll('{user}', name)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}
