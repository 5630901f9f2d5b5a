/** What the workers of a kernel are told when they are made. */

import type { Clock } from '../clock.js'
import type { Log } from '../log.js'
import type { InterruptLimits } from './interrupter.js'

export interface WorkersOptions {
  readonly cwd: string | null
  readonly workerEnvironment: Readonly<Record<string, string | null>>
  /** What code in the kernel takes for its connection file; null: what the zygote was built with. */
  readonly connectionFile?: string | null
  /** The place of the frozen copies of which one is to become this kernel's first worker. */
  readonly copiesAt?: string
  readonly clock: Clock
  readonly log: Log
  readonly limits: InterruptLimits & { readonly deathMs: number; readonly writerDialMs: number }
}
