/**
 * What kernels of one Python answer to kernel_info, kept so that a lazy kernel can answer before it has started one.
 *
 * It is what the latest lazy kernel with the same Python and the same arguments said when its Python was up. A Python
 * whose packages were replaced since is told of as it was, until the next one is up.
 */

import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeFolder } from '../folders.js'
import type { Log } from '../log.js'
import { productVersion } from './commands.js'

const BYTES_MAX = 1_048_576

export interface KernelInfo {
  /** The content of a kernel_info_reply, or null if none is kept that can be used. */
  readonly recalled: Buffer | null
  /** Keeps what a zygote said. */
  keep(content: Buffer): void
}

/** `facts` are what the answer depends on, beside this release. */
export function kernelInfo(dataDir: string, facts: unknown, log: Log): KernelInfo {
  const key = createHash('sha256')
    .update(JSON.stringify([productVersion(), facts]))
    .digest('hex')
    .slice(0, 32)
  const file = join(dataDir, 'kernel-info', `${key}.json`)
  return { recalled: recall(file), keep: (content) => keep(file, content, log) }
}

function recall(file: string): Buffer | null {
  try {
    const bytes = readFileSync(file)
    const info = JSON.parse(bytes.toString()) as {
      readonly protocol_version?: unknown
      readonly status?: unknown
    } | null
    return bytes.length <= BYTES_MAX && typeof info?.protocol_version === 'string' ? bytes : null
  } catch {
    // There is none yet, or it is damaged: then Python is asked.
    return null
  }
}

/** That it cannot be kept is no reason not to go on. */
function keep(file: string, content: Buffer, log: Log): void {
  if (content.length > BYTES_MAX || recall(file)?.equals(content)) return
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  try {
    makeFolder(dirname(file), 0o700)
    writeFileSync(draft, content, { mode: 0o600 })
    renameSync(draft, file)
  } catch (error) {
    log('warn', 'kernel_info_not_kept', { reason: error instanceof Error ? error.message : String(error) })
  }
}
