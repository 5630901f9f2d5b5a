/**
 * What makes two workers interchangeable: Python, preloaded modules, tenant, and the environment that was there when
 * the zygote started.
 *
 * A variable that only the user's code reads can be set in a worker when it is leased. One that was read before, by the
 * loader, the interpreter or a library that is loaded already, cannot: it calls for another zygote.
 */

import { createHash } from 'node:crypto'
import type { PoolSpec } from './options.js'

/** Enough for every tenant and environment of one moment; beyond that the oldest is computed anew. */
const KEPT_MAX = 1_024

/** Told to kernels about themselves; nothing reads them at its start. */
const TOLD = /^(KERNEL_|JPY_)/
/** Read by the loader, by Python or by IPython when they start. */
const READ_AT_START = /^(LD_|PYTHON|IPYTHON|JUPYTER|GLIBC_|MALLOC_|LC_|LANG$|LANGUAGE$|TZ$|HOME$|TMPDIR$)/

export interface StartKey {
  readonly key: string
  /** For the zygote, on top of the kernelspec's. */
  readonly atStart: Readonly<Record<string, string | null>>
  /** For the worker, when it is leased. */
  readonly atLease: Readonly<Record<string, string | null>>
}

export function startKey(
  name: string,
  spec: PoolSpec,
  tenant: string,
  environment: Readonly<Record<string, string | null>>,
): StartKey {
  const changes = Object.entries(environment).filter(([name, value]) => (spec.environment[name] ?? null) !== value)
  const isForStart = ([name]: readonly [string, unknown]): boolean =>
    // What a preloaded library has read is not known, so that anything counts.
    !TOLD.test(name) && (spec.preload.length > 0 || READ_AT_START.test(name))
  const atStart = changes.filter(isForStart).toSorted()
  const atLease = changes.filter((each) => !isForStart(each))
  return {
    key: keyOf(JSON.stringify([name, tenant, atStart, specDigest(spec)])),
    atStart: Object.fromEntries(atStart),
    atLease: Object.fromEntries(atLease),
  }
}

const keys = new Map<string, string>()
const specDigests = new WeakMap<PoolSpec, string>()

function keyOf(facts: string): string {
  const known = keys.get(facts)
  if (known !== undefined) return known
  const [oldest] = keys.size < KEPT_MAX ? [] : keys.keys()
  if (oldest !== undefined) keys.delete(oldest)
  const key = digest(facts)
  keys.set(facts, key)
  return key
}

/** All that a kernelspec says: one that is defined anew under its old name gets workers of its own. */
function specDigest(spec: PoolSpec): string {
  const known = specDigests.get(spec)
  if (known !== undefined) return known
  const environment = Object.entries(spec.environment).toSorted()
  const made = digest(JSON.stringify([spec.python, spec.stack, spec.preload, environment, spec.sandbox !== undefined]))
  specDigests.set(spec, made)
  return made
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
