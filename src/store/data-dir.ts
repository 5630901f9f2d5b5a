/** The data folder: what a user's kernels share, readable by that user alone. */

import { chmod, stat } from 'node:fs/promises'
import { SavepointError } from '../errors.js'
import { makeFolder } from '../folders.js'
import type { Log } from '../log.js'

/**
 * Makes the data folder, mode 0700, if there is none.
 *
 * The mode of a folder that exists is not changed: it may be one that the user shares on purpose, or `/tmp`. What is
 * kept in it lies in folders of mode 0700 and files of mode 0600 all the same. Throws `storage_failed`.
 */
export async function prepareDataDir(dataDir: string, log: Log): Promise<void> {
  await makePrivateFolder(dataDir)
  const { mode } = await stat(dataDir)
  if ((mode & 0o022) !== 0) {
    log('warn', 'data_dir_open_to_others', { dataDir, remedy: 'chmod go-w, or give another folder with --data-dir' })
  }
}

/** Makes a folder of ours inside the data folder, and takes it away from others if it was open to them. */
export async function makeOwnFolder(path: string): Promise<void> {
  await makePrivateFolder(path)
  const { mode } = await stat(path)
  if ((mode & 0o077) !== 0) await chmod(path, 0o700)
}

async function makePrivateFolder(path: string): Promise<void> {
  try {
    makeFolder(path, 0o700)
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    throw new SavepointError(
      'storage_failed',
      `The folder ${path} cannot be made (${reason}). Make it writable, or give another one with --data-dir.`,
      { path, reason },
      { cause: error },
    )
  }
}
