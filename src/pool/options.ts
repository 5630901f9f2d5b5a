/** What a pool is told when it is made. */

import type { Clock } from '../clock.js'
import type { Log } from '../log.js'
import type { Warden } from '../worker/limits/warden.js'
import type { WorkersOptions } from '../worker/options.js'
import type { ZygoteOptions } from '../worker/zygote.js'
import type { ZygoteRecords } from './zygote-records.js'

/** What a kernelspec stands for. */
export interface PoolSpec {
  /** Interpreter in which the workers run. */
  readonly python: string
  /** Folder that IPython and ipykernel are imported from; null: the interpreter has its own. */
  readonly stack: string | null
  /** Modules that are imported before workers are forked. */
  readonly preload: readonly string[]
  /** Environment of its zygotes, whole. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What its zygote is started by, for that tenant and with sockets and pipes in that folder; absent: no sandbox. */
  readonly sandbox?: (tenant: string, folder: string) => readonly string[]
}

/** What a worker must be for a kernel. */
export interface PoolNeeds {
  readonly kernelId: string
  readonly spec: string
  readonly tenant: string
  readonly environment: Readonly<Record<string, string | null>>
  readonly cwd: string | null
  readonly affinity: string | null
}

export interface PoolLimits {
  /** Workers that are asked for while none can be had, and how long each of them is waited for. */
  readonly queueLengthMax: number
  readonly waitMs: number
  /** For a zygote to load everything, preloaded modules included. */
  readonly zygoteStartMs: number
  /** From the command to fork a worker until it has dialled in. */
  readonly dialMs: number
  /** How long a zygote that nobody uses is kept. */
  readonly zygoteIdleMs: number
  readonly zygotesMax: number
  /** Pauses before a start that failed is tried again; after the last one, who waits is told. */
  readonly retryMs: readonly number[]
  readonly failuresToOpen: number
  readonly successesToClose: number
  readonly openMs: number
  /** How soon after a lease another worker is made ready. */
  readonly refillMs: number
  /** How often ready workers are looked at, and what they may be and use. */
  readonly sweepMs: number
  readonly ageMsMax: number
  readonly usesMax: number
  readonly memoryBytesMax: number
  readonly affineMax: number
  /** Ways to start a zygote that are remembered although none is in use. */
  readonly startsMax: number
  /** How long kernels may take to claim what they had below another gateway. */
  readonly claimMs: number
}

export interface PoolOptions {
  /** A zygote ended that was not told to. */
  readonly onZygoteLost?: () => void
  /** null: there is no such kernelspec. */
  readonly spec: (name: string) => PoolSpec | null
  /** Kernelspec and tenant for which workers are kept ready, and how many. */
  readonly defaultSpec: string
  readonly defaultTenant: string
  readonly size: number
  /** How long a worker that was given back waits for the same client. */
  readonly affinityMs: number
  /** For sockets and pipes; it lies in a folder that is private (0700), and its path has at most 80 bytes. */
  readonly folder: string
  /** What code in a kernel takes for the path of its connection file. */
  readonly connectionFile: (kernelId: string) => string
  /** Keeps kernels within their limits, and knows what their workers died of. */
  readonly warden?: Pick<Warden, 'take'>
  /** Of zygotes, for a gateway that comes after this one; absent: they end with it. */
  readonly records?: ZygoteRecords
  /** How long Python goes on without a gateway, and how much each worker keeps on disk meanwhile. */
  readonly orphanMs?: number
  readonly spoolBytesMax?: number
  /** How long a zygote that another gateway started is waited for. */
  readonly takeUpMs?: number
  /** Zygotes of other releases get no new kernels. */
  readonly release?: string
  /** File that a zygote runs. */
  readonly starter: string
  readonly clock: Clock
  readonly log: Log
  readonly limits: PoolLimits
  readonly workerLimits: WorkersOptions['limits'] & ZygoteOptions['limits'] & { readonly helloMs: number }
}
