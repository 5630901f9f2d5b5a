/** The gate of a gateway: who asks, how often, and until when. What it decides is in `judge` and `routes`. */

import type { Clock } from '../../clock.js'
import type { Log } from '../../log.js'
import { originationOf } from './address.js'
import type { RequestFacts } from './facts.js'
import { digestOf, judge, type AuthRules } from './judge.js'
import type { VerificationKey } from './keys.js'
import { authLimits } from './limits.js'
import type { Principal } from './principal.js'
import { createRates } from './rates.js'
import type { Refusal } from './refusal.js'
import { allowed, isOpen } from './routes.js'

/** Keys and revocations as they are now; both may change while the gateway runs. */
export interface KeySource {
  keys(): readonly VerificationKey[]
  revoked(tokenId: string): boolean
}

export interface GateOptions {
  /** The gateway's own token; empty: nobody needs one. */
  readonly token: string
  readonly rules: AuthRules
  /** Of one subject; null: any number. */
  readonly requestsPerMinute: number | null
}

export interface Gate {
  /**
   * Lets a request or an upgrade in, or says why not; the token's scopes are those of the route. Whose the kernel is
   * that it asks for is another question: see `owns`. Never throws for what a client sent.
   */
  authenticate(facts: RequestFacts): Promise<Principal | Refusal>
  /** Calls back once when what let a principal in has ended; the returned function stops that. */
  watch(principal: Principal, ended: (why: 'expired' | 'revoked') => void): () => void
  close(): void
}

interface Watched {
  readonly principal: Principal
  readonly key: VerificationKey | null
  readonly ended: (why: 'expired' | 'revoked') => void
}

export function createGate(options: GateOptions, source: KeySource, clock: Clock, log: Log): Gate {
  const tokenDigest = options.token === '' ? null : digestOf(options.token)
  const rates = createRates(options.requestsPerMinute)
  const keyOf = new WeakMap<Principal, VerificationKey>()
  const watched = new Set<Watched>()
  let cancel: (() => void) | null = null
  let closed = false

  function look(): void {
    cancel = null
    for (const each of [...watched]) {
      const why = whyEnded(each, source, clock.date())
      if (why === null || !watched.delete(each)) continue
      each.ended(why)
    }
    lookAgain()
  }

  function lookAgain(): void {
    if (!closed && cancel === null && watched.size > 0) cancel = clock.after(authLimits.watchMs, look)
  }

  return {
    async authenticate(facts) {
      const credentials = { tokenDigest, keys: () => source.keys(), revoked: (id: string) => source.revoked(id) }
      const verdict = judge(facts, options.rules, credentials, clock.date())
      if ('refusal' in verdict) {
        if (verdict.fault === null) return verdict.refusal
        const { address } = originationOf(facts.headers, facts.peer, facts.encrypted, options.rules.proxies)
        log('info', 'token_refused', { fault: verdict.fault, address })
        return (await rates.failed(address)) ?? verdict.refusal
      }
      const { principal, key } = verdict
      if (key !== null) keyOf.set(principal, key)
      const denied = allowed(principal, facts)
      if (denied !== null || isOpen(facts)) return denied ?? principal
      return (await rates.asked(principal.subject)) ?? principal
    },

    watch(principal, ended) {
      const each = { principal, key: keyOf.get(principal) ?? null, ended }
      watched.add(each)
      lookAgain()
      return () => void watched.delete(each)
    },

    close() {
      closed = true
      watched.clear()
      cancel?.()
      cancel = null
    },
  }
}

// The same leeway as at the door. A key that was taken out of the file takes its tokens with it.
function whyEnded({ principal, key }: Watched, source: KeySource, now: Date): 'expired' | 'revoked' | null {
  const { expiresAt, tokenId } = principal
  if (expiresAt !== null && now.getTime() >= expiresAt + authLimits.leewayS * 1000) return 'expired'
  if (tokenId !== null && source.revoked(tokenId)) return 'revoked'
  if (key !== null && !source.keys().some((each) => isSame(each, key))) return 'revoked'
  return null
}

function isSame(one: VerificationKey, other: VerificationKey): boolean {
  return one === other || (one.id === other.id && one.algorithm === other.algorithm && one.key.equals(other.key))
}
