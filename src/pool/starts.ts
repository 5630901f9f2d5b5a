/** How zygotes are started for what kernels need: found once per kernel, and kept as long as it may be of use. */

import { SavepointError } from '../errors.js'
import type { PoolNeeds, PoolOptions, PoolSpec } from './options.js'
import { startKey, type StartKey } from './start-key.js'

type Asked = Pick<PoolNeeds, 'spec' | 'tenant' | 'environment'>

/** How a zygote is started. */
export interface Start {
  readonly spec: PoolSpec
  /** Name of the kernelspec, and for whom. */
  readonly name: string
  readonly tenant: string
  readonly atStart: StartKey['atStart']
}

export class Starts {
  readonly #spec: PoolOptions['spec']
  readonly #max: number
  readonly #isInUse: (key: string) => boolean
  readonly #keys = new WeakMap<Asked, { readonly spec: PoolSpec; readonly key: StartKey }>()
  /** Oldest first. */
  readonly #starts = new Map<string, Start>()

  /** More than `max` are kept only while they are in use. */
  constructor(spec: PoolOptions['spec'], max: number, isInUse: (key: string) => boolean) {
    this.#spec = spec
    this.#max = max
    this.#isInUse = isInUse
  }

  /** Throws `unknown_kernelspec`. */
  keyOf(asked: Asked): StartKey {
    const spec = this.#spec(asked.spec)
    if (spec === null)
      throw new SavepointError('unknown_kernelspec', `There is no kernelspec ${asked.spec}.`, { name: asked.spec })
    const known = this.#keys.get(asked)
    // A kernelspec may have been defined anew meanwhile.
    const key = known?.spec === spec ? known.key : startKey(asked.spec, spec, asked.tenant, asked.environment)
    this.#keys.set(asked, { spec, key })
    if (!this.#starts.has(key.key)) {
      this.#keep(key.key, { spec, name: asked.spec, tenant: asked.tenant, atStart: key.atStart })
    }
    return key
  }

  of(key: string): Start | null {
    return this.#starts.get(key) ?? null
  }

  #keep(key: string, start: Start): void {
    if (this.#starts.size >= this.#max)
      for (const old of [...this.#starts.keys()]) if (!this.#isInUse(old)) this.#starts.delete(old)
    this.#starts.set(key, start)
  }
}
