/**
 * Brings a fresh checkout to where it can run: Node modules and compiled files. Plain JavaScript without dependencies,
 * since neither may be there yet. Does nothing, quickly, when there is nothing to do.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Ends the process with a plain sentence: a stack would only hide it. */
export function giveUp(message) {
  process.stderr.write(`savepoint: ${message}\n`)
  process.exit(1)
}

/** Refuses a Node that is too old, or a system on which workers cannot be forked. */
export function checkMachine() {
  const wanted = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    .engines.node.match(/\d+/g)
    .map(Number)
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < wanted[0] || (major === wanted[0] && minor < wanted[1])) {
    giveUp(`This is Node ${process.version}; install Node ${wanted.join('.')} or newer.`)
  }
  if (process.platform !== 'linux')
    giveUp(`Kernels are forked processes, which needs Linux; this is ${process.platform}.`)
}

/** Installs the locked Node modules if they are missing or older than the lock. No package may run a script. */
export function installModules() {
  const installed = join(root, 'node_modules', '.package-lock.json')
  if (existsSync(installed) && sameVersions(installed)) return
  process.stdout.write('Installing Node modules (npm ci, 10 to 60 s)\n')
  const argv = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const { status, error } = spawnSync('npm', argv, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (error?.code === 'ENOENT') giveUp('npm was not found on PATH. It comes with Node; install it.')
  if (status !== 0)
    giveUp(
      'Installing the Node modules failed (see above). Check the network connection, then run the same command again.',
    )
}

// npm writes what it installed in the form of the lock file: compare each package's version, for whatever of the lock
// is installed; optional packages of other systems are rightly absent.
function sameVersions(installed) {
  const packages = (file) => JSON.parse(readFileSync(file, 'utf8')).packages
  const have = packages(installed)
  return Object.entries(packages(join(root, 'package-lock.json'))).every(
    ([name, want]) => name === '' || want.optional || have[name]?.version === want.version,
  )
}

/** Compiles a project unless its last good compilation was of the same files, none of them changed since. */
export function compile(project, outDir, folders) {
  const stamp = join(root, outDir, '.compiled')
  const sources = [project, 'tsconfig.json', ...folders.flatMap(typeScriptFiles)]
  const list = sources.join('\n')
  const last = existsSync(stamp)
    ? { list: readFileSync(stamp, 'utf8'), at: statSync(stamp).mtimeMs }
    : { list: '', at: 0 }
  if (last.list === list && sources.every((file) => statSync(join(root, file)).mtimeMs < last.at)) return
  process.stdout.write(`Compiling ${folders.join(' and ')}\n`)
  // What was compiled from a file that is gone would still be found, and a removed test would still run.
  if (last.list !== list) rmSync(join(root, outDir), { recursive: true, force: true })
  const began = new Date()
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', project], { cwd: root, stdio: 'inherit' })
  if (status !== 0) giveUp('Compiling failed (see above).')
  // Dated before the compiler ran: what was saved while it ran is newer.
  writeFileSync(stamp, list)
  utimesSync(stamp, began, began)
}

function typeScriptFiles(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return typeScriptFiles(path)
    return path.endsWith('.ts') ? [path] : []
  })
}

/** Everything that the program needs besides its Python. */
export function prepare() {
  checkMachine()
  installModules()
  compile('tsconfig.json', 'dist', ['src'])
}
