/** What a request for a kernel asks for, as data. Nothing of it is ever part of a command or of a template. */

import type { Static } from 'typebox'
import type { KernelRequest } from '../host/kernels/ports.js'
import type { Principal } from './auth/principal.js'
import type { startKernelSchema } from './schemas.js'

export function kernelRequest(
  body: Static<typeof startKernelSchema>,
  defaultName: string,
  principal: Principal,
): KernelRequest {
  return {
    name: body.name || defaultName,
    kernelId: body.kernel_id || null,
    environment: body.env ?? {},
    path: body.path || null,
    cwd: null,
    owner: principal.subject,
    affinity: body.savepoint?.lease?.client ?? null,
  }
}
