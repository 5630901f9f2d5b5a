/** `savepoint uninstall`: removes a kernelspec that `install` wrote. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { resolveSettings } from '../config.js'
import { SavepointError } from '../errors.js'
import { parseFlags } from './flags.js'
import { DEFAULT_NAME, checkName, kernelsFolder, ownership } from './kernelspec.js'
import { EXIT } from './report.js'

const FLAGS = {
  '--user': 'switch',
  '--sys-prefix': 'switch',
  '--prefix': 'value',
  '--name': 'value',
  '--python': 'value',
} as const

/** Not there is done too, and says so; another program's is left alone (exit code 1). */
export async function runUninstall(args: readonly string[]): Promise<number> {
  const { given } = parseFlags(args, FLAGS)
  const name = checkName((given['--name'] ?? DEFAULT_NAME).toLowerCase())
  const { python } = resolveSettings(given['--python'] === undefined ? {} : { python: given['--python'] })
  const folder = join(kernelsFolder(given, python, process.env), name)
  const owner = ownership(folder)
  if (owner === 'foreign') {
    throw new SavepointError(
      'not_available',
      `${folder} was not written by "savepoint install"; nothing was removed.`,
      { folder },
    )
  }
  if (owner === 'ours') rmSync(folder, { recursive: true })
  process.stdout.write(owner === 'ours' ? `Removed ${folder}\n` : `Nothing to remove: there is no ${folder}\n`)
  return EXIT.done
}
