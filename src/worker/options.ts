/** What the workers of a kernel are told when they are made. */

import type { Clock } from '../clock.js'
import type { OwnLimits } from '../link/protocol.js'
import type { Log } from '../log.js'
import type { InterruptLimits } from './interrupter.js'
import type { Death } from './zygote.js'

export interface WorkersOptions {
  readonly cwd: string | null
  readonly workerEnvironment: Readonly<Record<string, string | null>>
  /** What code in the kernel takes for its connection file; null: what the zygote was built with. */
  readonly connectionFile?: string | null
  /** The place of the frozen copies of which one is to become this kernel's first worker. */
  readonly copiesAt?: string
  /** What a worker puts on itself before it is anybody's; null: nothing. */
  readonly ownLimits?: OwnLimits | null
  /** The kernel goes on with this worker, which it had before the gateway was killed. */
  readonly onTakenUp?: (pid: number) => void
  /** What is known of a worker's end beside its signal or code; asked once, right after it. */
  readonly explain?: (pid: number, death: Death) => Death
  readonly clock: Clock
  readonly log: Log
  /** How long workers go on without a gateway; absent or 0: not at all. */
  readonly orphanMs?: number
  readonly limits: InterruptLimits & {
    readonly deathMs: number
    readonly redialMs: number
    readonly ringMs: number
    readonly writerDialMs: number
  }
}
