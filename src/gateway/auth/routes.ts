/** Which scopes a route needs. A route that is not in the table is refused, so a new one cannot be open by mistake. */

import type { Action, Principal, Resource } from './principal.js'
import { may } from './principal.js'
import { refuse, type Refusal } from './refusal.js'

type Scoped = `${Resource}:${Action}`
/** `nobody`: needs no token. `anybody`: any valid token. `admin`: tells of everybody's, or changes the gateway. */
type Need = 'nobody' | 'anybody' | 'admin' | readonly [Scoped, ...Scoped[]]

const READ: Need = ['kernels:read']
const WRITE: Need = ['kernels:write']
const EXECUTE: Need = ['kernels:execute']

/**
 * By `METHOD pattern`, the names of parameters left out; `WS` is an upgrade to a WebSocket. HEAD is as GET, and OPTIONS
 * needs nothing. Starting, restarting and ending a kernel is `write`; whatever runs code in one, changes its variables or
 * gives somebody the means to, is `execute`. A session's kernel is started and ended with the session, hence both.
 */
const NEEDS: Readonly<Record<string, Need>> = {
  'GET /api': 'nobody',
  'GET /healthz': 'nobody',
  'GET /readyz': 'nobody',

  'GET /api/me': 'anybody',
  'GET /api/spec.yaml': 'anybody',
  'GET /api/swagger.json': 'anybody',
  'GET /api/swagger.yaml': 'anybody',
  'GET /api/openapi.json': 'anybody',
  'GET /api/openapi.yaml': 'anybody',
  'GET /api/status': READ,
  'GET /metrics': READ,
  'GET /api/savepoint/ready': READ,
  'GET /api/savepoint/pool': 'admin',

  'GET /api/kernelspecs': ['kernelspecs:read'],
  'GET /api/kernelspecs/:': ['kernelspecs:read'],
  'GET /kernelspecs/:/*': ['kernelspecs:read'],
  'GET /kernelspecs/:/:': ['kernelspecs:read'],

  'GET /api/sessions': ['sessions:read'],
  'POST /api/sessions': ['sessions:write', 'kernels:write'],
  'GET /api/sessions/:': ['sessions:read'],
  'PATCH /api/sessions/:': ['sessions:write', 'kernels:write'],
  'DELETE /api/sessions/:': ['sessions:write', 'kernels:write'],

  'GET /api/kernels': READ,
  'POST /api/kernels': WRITE,
  'GET /api/kernels/:': READ,
  'DELETE /api/kernels/:': WRITE,
  'POST /api/kernels/:/interrupt': WRITE,
  'POST /api/kernels/:/restart': WRITE,
  'GET /api/kernels/:/channels': EXECUTE,
  'WS /api/kernels/:/channels': EXECUTE,
  // Whoever has the connection file's key may run anything.
  'GET /api/kernels/:/connection': EXECUTE,
  'PUT /api/kernels/:/connection': EXECUTE,
  'DELETE /api/kernels/:/connection': EXECUTE,
  'POST /api/kernels/:/move': WRITE,

  'GET /api/kernels/:/transactions': READ,
  'POST /api/kernels/:/transactions': EXECUTE,
  'GET /api/kernels/:/transactions/:': READ,
  'DELETE /api/kernels/:/transactions/:': EXECUTE,
  'POST /api/kernels/:/transactions/:/commit': EXECUTE,
  'POST /api/kernels/:/transactions/:/rollback': EXECUTE,
  'POST /api/kernels/:/transactions/:/savepoints': EXECUTE,
  'POST /api/kernels/:/undo': EXECUTE,
  'POST /api/kernels/:/redo': EXECUTE,
  'POST /api/kernels/:/fork': ['kernels:write', 'kernels:execute'],
  'GET /api/kernels/:/snapshots': READ,
  'DELETE /api/kernels/:/snapshots/:': EXECUTE,
  'GET /api/kernels/:/checkpoints': READ,
  'POST /api/kernels/:/checkpoints': EXECUTE,
  'POST /api/kernels/:/restore': EXECUTE,

  'GET /api/savepoint/checkpoints': READ,
  'POST /api/savepoint/checkpoints/import': ['kernels:write', 'kernels:execute'],
  'GET /api/savepoint/checkpoints/:': READ,
  'DELETE /api/savepoint/checkpoints/:': EXECUTE,
  'GET /api/savepoint/checkpoints/:/validate': READ,
  'GET /api/savepoint/checkpoints/:/diff': READ,
  'GET /api/savepoint/checkpoints/:/data': READ,

  // It makes a kernel of its own if it has to.
  'POST /api/execute': ['kernels:write', 'kernels:execute'],
  'GET /api/kernels/:/executions': READ,
  'POST /api/kernels/:/executions': EXECUTE,
  'GET /api/kernels/:/executions/:': READ,
  'DELETE /api/kernels/:/executions/:': EXECUTE,
  'GET /api/kernels/:/executions/:/outputs': READ,
  'GET /api/kernels/:/executions/:/events': READ,
  'POST /api/kernels/:/executions/:/input': EXECUTE,
}

export interface RouteCall {
  readonly method: string
  /** Pattern of the route, without the base path; null: the router found none. */
  readonly route: string | null
  readonly upgrade: boolean
}

/** Undefined: not in the table, so nobody may. The server asks this of every route that is registered. */
export function needOf({ method, route, upgrade }: RouteCall): Need | undefined {
  if (route === null) return undefined
  const verb = upgrade ? 'WS' : method === 'HEAD' ? 'GET' : method
  const key = `${verb} ${route.replace(/:[A-Za-z_]\w*(\([^/]*\))?/g, ':')}`
  return verb === 'OPTIONS' ? 'nobody' : Object.hasOwn(NEEDS, key) ? NEEDS[key] : undefined
}

/** Whether a call is answered without a token. */
export function isOpen(call: RouteCall): boolean {
  return call.method === 'OPTIONS' ? !call.upgrade : needOf(call) === 'nobody'
}

/** null: it may. What belongs to somebody else is another question; see `owns`. */
export function allowed(principal: Principal, call: RouteCall): Refusal | null {
  if (call.route === null) return refuse(404, 'not_found', 'There is no such route.')
  if (isOpen(call)) return null
  const need = needOf(call)
  if (need === undefined) return refuse(403, 'forbidden', 'Nobody may use this route.')
  if (need === 'nobody' || need === 'anybody' || principal.scopes.has('admin')) return null
  const missing = need === 'admin' ? ['admin'] : need.filter((scope) => !holds(principal, scope))
  if (missing.length === 0) return null
  return refuse(
    403,
    'forbidden',
    `This needs a token with the scope ${missing.join(' and ')}. See: savepoint token create --scope`,
  )
}

function holds(principal: Principal, scope: Scoped): boolean {
  const [resource, action] = scope.split(':') as [Resource, Action]
  return may(principal, resource, action)
}
