/** What a request for a kernel asks for, as data. Nothing of it is ever part of a command or of a template. */

import type { Static } from 'typebox'
import { SavepointError } from '../errors.js'
import type { KernelRequest } from '../host/kernels/ports.js'
import type { Principal } from './auth/principal.js'
import { warningsAbout } from './body.js'
import type { startKernelSchema } from './schemas.js'

/** Throws `bad_request`. */
export function kernelRequest(
  body: Static<typeof startKernelSchema>,
  defaultName: string,
  principal: Principal,
): KernelRequest {
  const { checkpoint, guard } = (body.savepoint ?? {}) as { readonly checkpoint?: unknown; readonly guard?: unknown }
  if (checkpoint !== undefined && checkpoint !== null && (typeof checkpoint !== 'string' || checkpoint === '')) {
    throw new SavepointError('bad_request', 'savepoint.checkpoint must be the id or the name of a checkpoint.')
  }
  if (guard !== undefined && guard !== null && typeof guard !== 'boolean') {
    throw new SavepointError('bad_request', 'savepoint.guard must be true or false.')
  }
  return {
    name: body.name || defaultName,
    kernelId: body.kernel_id || null,
    environment: body.env ?? {},
    path: body.path || null,
    cwd: null,
    owner: principal.subject,
    guard: guard ?? null,
    affinity: body.savepoint?.lease?.client ?? null,
    ...(typeof checkpoint === 'string' ? { checkpoint } : {}),
  }
}

const FIELDS = { name: true, env: true, path: true, kernel_id: true, savepoint: true }
const SAVEPOINT_FIELDS = { lease: true, checkpoint: true, guard: true }

/** What of it was ignored. */
export function kernelRequestWarnings(body: Static<typeof startKernelSchema>): string[] {
  return [...warningsAbout(body, FIELDS), ...warningsAbout(body.savepoint ?? {}, SAVEPOINT_FIELDS, 'savepoint.')]
}
