/** Tells the launcher of a registration file what was bound, and waits until it has taken note. */

import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.js'
import { SavepointError } from '../errors.js'
import type { Ports } from '../wire/connection.js'
import { readAcknowledgement, registrationFrames, type Registration } from '../wire/registration.js'
import { createSigner } from '../wire/signature.js'

export interface RegistrationOptions {
  readonly session: string
  readonly clock: Clock
  /** How long the launcher has to answer. */
  readonly withinMs: number
}

/** Throws REGISTRATION_FAILED when the launcher refuses, or does not answer in time: then nobody waits for this kernel. */
export async function register(registration: Registration, ports: Ports, options: RegistrationOptions): Promise<void> {
  const zmq = await import('zeromq')
  const { signatureScheme, key } = registration.connection
  const signer = createSigner(signatureScheme, key)
  const common = { linger: 0, connectTimeout: options.withinMs, ipv6: registration.endpoint.includes('[') }
  const socket = registration.dialect === 'jupyter' ? new zmq.Dealer(common) : new zmq.Request(common)
  const deadline = options.clock.now() + options.withinMs
  try {
    socket.connect(registration.endpoint)
    const stamp = { msg_id: randomUUID(), session: options.session, date: options.clock.date().toISOString() }
    await socket.send(registrationFrames(registration, ports, stamp, signer))
    for (;;) {
      const leftMs = Math.ceil(deadline - options.clock.now())
      if (leftMs <= 0) throw new SavepointError('REGISTRATION_FAILED', noAnswer(registration.endpoint))
      socket.receiveTimeout = leftMs
      const frames = await socket.receive().catch(() => null)
      const answer = frames === null ? null : readAcknowledgement(frames, signer)
      if (answer === 'accepted') return
      if (answer === 'refused') {
        throw new SavepointError('REGISTRATION_FAILED', `The launcher at ${registration.endpoint} refused this kernel.`)
      }
      // A REQ socket takes one answer and no more.
      if (answer === 'junk' && registration.dialect === 'positron') {
        throw new SavepointError(
          'REGISTRATION_FAILED',
          `What answered at ${registration.endpoint} is not the launcher.`,
        )
      }
    }
  } finally {
    socket.close()
  }
}

function noAnswer(endpoint: string): string {
  return `The launcher at ${endpoint} did not take note of this kernel in time.`
}
