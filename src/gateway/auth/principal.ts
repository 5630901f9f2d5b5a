/** Who asks, and what they may do. */

/** What a scope is about, and what it allows there. A WebSocket is `execute` on kernels. */
export type Resource = 'kernels' | 'sessions' | 'kernelspecs'
export type Action = 'read' | 'write' | 'execute'
export type Scope = 'admin' | `${Resource}:${Action}`

export interface Principal {
  /** Owner of what it makes, and tenant of its kernels. */
  readonly subject: string
  /** `admin` allows everything, for everybody's kernels. */
  readonly scopes: ReadonlySet<Scope>
  /** Of the token, for its revocation; null: the gateway's own token, or none at all. */
  readonly tokenId: string | null
  /** Milliseconds since the epoch, or null. */
  readonly expiresAt: number | null
  /** Where the token was: whatever a foreign page can make a browser send needs an Origin that is ours. */
  readonly from: 'header' | 'query' | 'subprotocol' | 'path' | 'nowhere'
}

export function may(principal: Principal, resource: Resource, action: Action): boolean {
  return principal.scopes.has('admin') || principal.scopes.has(`${resource}:${action}`)
}

/** What belongs to others is not there for it. */
export function owns(principal: Principal, owner: string): boolean {
  return principal.scopes.has('admin') || principal.subject === owner
}

/** Who holds the gateway's own token, and whose tokens `savepoint token create` makes unless it is told otherwise. */
export const LOCAL_SUBJECT = 'local'

const RESOURCES: readonly Resource[] = ['kernels', 'sessions', 'kernelspecs']
const ACTIONS: readonly Action[] = ['read', 'write', 'execute']

/** Everything but `admin`. */
export const ALL_SCOPES: readonly Scope[] = RESOURCES.flatMap((resource) =>
  ACTIONS.map((action): Scope => `${resource}:${action}`),
)

export function isScope(name: string): name is Scope {
  return name === 'admin' || (ALL_SCOPES as readonly string[]).includes(name)
}

/** A claim as a list or, as in RFC 8693 section 4.2, as words; scopes of other services are passed over. */
export function scopesOf(claim: unknown): ReadonlySet<Scope> {
  const names: readonly unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : []
  return new Set(names.filter((name): name is Scope => typeof name === 'string' && isScope(name)))
}
