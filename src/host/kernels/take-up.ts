/** Going on with the kernels of an earlier gateway. */

import type { Clock } from '../../clock.js'
import type { Observe } from '../../observe.js'
import type { GatewayKernel } from './kernel.js'
import { Turns } from './turns.js'

/** Kernels that are taken up at a time. */
const AT_ONCE_MAX = 8

export interface TakeUpParts {
  /** Processes of them may still live. */
  readonly alive: boolean
  /** What comes before each of them; does not reject. */
  readonly prepare: (kernel: GatewayKernel) => Promise<void>
  readonly clock: Clock
  readonly observe: Observe
}

/** Resolves when all are there, each as what can be had of it. */
export async function takeUpAll(kernels: readonly GatewayKernel[], parts: TakeUpParts): Promise<void> {
  const { alive, prepare, clock, observe } = parts
  const turns = new Turns(AT_ONCE_MAX)
  const takeUp = async (kernel: GatewayKernel): Promise<void> => {
    const began = clock.now()
    const before = kernel.lastDeath?.at
    await kernel.takeUp(alive, turns, () => prepare(kernel))
    const { id, owner, phase } = kernel
    const isSame = kernel.lastDeath?.at === before
    const outcome = phase === 'asleep' ? 'resting' : phase !== 'ready' ? 'lost' : isSame ? 'living' : 'recovered'
    observe({ what: 'taken_up', kernel: id, owner, outcome, ms: clock.now() - began })
  }
  await Promise.all(kernels.map(takeUp))
}
