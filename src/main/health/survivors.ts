/** What gateways that were killed have left behind: kernels that wait for the next one. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isSameProcess } from '../../store/instances/process.js'
import { livenessOf } from '../../store/instances/claims.js'
import { readWhole } from '../../store/instances/whole-file.js'
import { fine, problem, warning, type Finding } from './finding.js'

export interface Survivors {
  /** Kernels of gateways that are dead. */
  readonly kernels: number
  /** Python processes that still run for them. */
  readonly processes: number
  /** Kernels whose record cannot be read. */
  readonly unreadable: number
}

/** Never throws. */
export function survivorsIn(dataDir: string, now = Date.now()): Survivors {
  const root = join(dataDir, 'gateways')
  const dead = namesIn(root)
    .filter((name) => /^[0-9a-f]{8}$/.test(name))
    .map((name) => join(root, name))
    .filter((folder) => livenessOf(folder, now) === 'dead')
  const kernels = dead.flatMap((folder) => namesIn(join(folder, 'kernels')).map((id) => join(folder, 'kernels', id)))
  const unreadable = kernels.filter((folder) => readWhole(join(folder, 'kernel.json')) === null).length
  const zygotes = dead.flatMap((folder) =>
    namesIn(join(folder, 'zygotes')).map((name) => join(folder, 'zygotes', name)),
  )
  const living = zygotes.filter((path) => {
    const { pid, started } = (readWhole(path) ?? {}) as { pid?: unknown; started?: unknown }
    return typeof pid === 'number' && typeof started === 'string' && isSameProcess({ pid, pid_started: started })
  })
  return { kernels: kernels.length - unreadable, processes: living.length, unreadable }
}

/** `runs`: a gateway of this data folder does. */
export function checkSurvivors(dataDir: string, runs: boolean): readonly Finding[] {
  const { kernels, processes, unreadable } = survivorsIn(dataDir)
  const name = 'kernels of a killed gateway'
  const found: Finding[] = []
  const count = `${kernels} ${kernels === 1 ? 'kernel waits' : 'kernels wait'} to be taken up`
  const remedy = runs
    ? 'Start one more gateway, which takes them up: savepoint serve --port 0'
    : 'Start the gateway again with the same data folder: savepoint serve'
  if (kernels > 0 && processes > 0) {
    const why =
      'Their Python still runs, and ends by itself if no gateway comes within recovery.orphan_s (600 s unless set).'
    found.push(problem(name, `${count}; their Python runs`, why, remedy))
  } else if (kernels > 0) {
    const why = 'Their Python has ended. They come back from their newest checkpoint when they are asked for.'
    found.push(warning(name, count, why, remedy))
  }
  if (unreadable > 0) {
    const why = 'What they were is not known any more; their checkpoints are in the list of all.'
    found.push(
      warning(
        name,
        `${unreadable} of them cannot be read`,
        why,
        'Start kernels from their checkpoints: savepoint checkpoints list',
      ),
    )
  }
  return found.length > 0 ? found : [fine(name, 'there are none')]
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
