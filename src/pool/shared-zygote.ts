/** One zygote of the pool, and the kernels that live below it. */

import { randomBytes } from 'node:crypto'
import type { Resident } from '../worker/backing.js'
import { Zygote, type ZygoteFacts } from '../worker/zygote.js'
import { Freshness } from './freshness.js'
import type { PoolOptions, PoolSpec } from './options.js'

export interface SharedZygoteListener {
  up(): void
  /** Before `up` that is a start that failed. */
  lost(): void
}

export class SharedZygote {
  readonly id: number
  readonly zygote: Zygote
  /** Kernels that hear of its end. */
  readonly residents = new Set<Resident>()
  kernelInfo: Buffer | null = null
  facts: ZygoteFacts | null = null
  #freshness: Freshness | null = null

  constructor(
    id: number,
    key: string,
    spec: PoolSpec,
    atStart: Readonly<Record<string, string | null>>,
    link: string,
    options: PoolOptions,
    listener: SharedZygoteListener,
  ) {
    this.id = id
    const { starter, clock, log, workerLimits } = options
    const changes = Object.entries(atStart).map(([name, value]) => [name, value ?? undefined] as const)
    this.zygote = new Zygote(
      {
        kernel: key,
        python: spec.python,
        starter,
        stack: spec.stack,
        environment: { ...spec.environment, ...Object.fromEntries(changes) },
        kernelArguments: ['-f', options.connectionFile('pool')],
        rendezvous: null,
        lingerS: 0,
        token: randomBytes(16).toString('hex'),
        early: null,
        link,
        preload: spec.preload,
        warm: true,
        clock,
        log,
        limits: workerLimits,
      },
      {
        ready: (kernelInfo, facts) => {
          this.kernelInfo = kernelInfo
          this.facts = facts
          this.#freshness = new Freshness(facts.import_folders ?? [])
          for (const [name, reason] of Object.entries(facts.preload_failed ?? {}))
            log('warn', 'preload_failed', { module: name, reason })
          listener.up()
        },
        died: () => listener.lost(),
      },
    )
  }

  /** A folder in which something was installed since it started, or null. */
  changedFolder(): string | null {
    return this.#freshness?.changed() ?? null
  }

  /** Other machines may have installed something. */
  lookAgain(): void {
    this.#freshness?.lookAgain()
  }

  /** No lease asks for it any more: it is gone, or is to go. */
  close(): void {
    this.#freshness?.close()
  }

  /** Ends it, and everything below it. */
  stop(stopped: () => void): void {
    this.close()
    this.zygote.stop(false, stopped)
  }

  /** It is gone, and everything below it. */
  tellResidents(): void {
    for (const resident of [...this.residents]) resident.zygoteDied()
    this.residents.clear()
  }
}
