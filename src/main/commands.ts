/** The commands besides `kernel`, each loaded when it is asked for. */
import { readFileSync } from 'node:fs'
import { places } from '../config.js'
import { EXIT } from './report.js'
import { usage } from './flags.js'
import { HELP } from './help.js'

type Command = (args: readonly string[]) => Promise<number>

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  install: async () => (await import('./install.js')).runInstall,
  uninstall: async () => (await import('./uninstall.js')).runUninstall,
  token: async () => (await import('./token.js')).runToken,
  serve: async () => (await import('./serve.js')).runServe,
  status: async () => (await import('./status.js')).runStatus,
  kernels: async () => (await import('./kernels.js')).runKernels,
  snapshots: async () => (await import('./snapshots.js')).runSnapshots,
  checkpoints: async () => (await import('./checkpoints.js')).runCheckpoints,
  exec: async () => (await import('./exec.js')).runExec,
  console: async () => (await import('./console.js')).runConsole,
  doctor: async () => (await import('./doctor.js')).runDoctor,
}

const NAMES = ['kernel', ...Object.keys(COMMANDS)].join(', ')

/** Runs one command and returns its exit code. Throws USAGE for a command that does not exist. */
export async function runCommandLine(command: string | undefined, args: readonly string[]): Promise<number> {
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  if (command === undefined) throw usage(`Say what to do: ${NAMES}.`)
  if (command === '--version') {
    say(productVersion())
    return EXIT.done
  }
  if (command === '--help' || command === '-h' || command === 'help') {
    say(HELP.savepoint)
    return EXIT.done
  }
  const help = Object.hasOwn(HELP, command) ? HELP[command as keyof typeof HELP] : undefined
  if (help === undefined) throw usage(`There is no command ${command}. The commands are ${NAMES}.`)
  if (args.includes('--help') || args.includes('-h')) {
    say(
      command === 'serve'
        ? help.replace('{settings}', (await import('../settings/reference.js')).settingsHelp())
        : help,
    )
    return EXIT.done
  }
  const load = COMMANDS[command]
  if (load === undefined) throw usage(`There is no command ${command}.`)
  return await (
    await load()
  )(args)
}

export function productVersion(): string {
  return (JSON.parse(readFileSync(places.manifest, 'utf8')) as { version: string }).version
}
