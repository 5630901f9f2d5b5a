/** What is refused since a kernel is not there: not yet, or no more. */

import { SavepointError } from '../../errors.js'

export function tooSlow(startMs: number): SavepointError {
  return new SavepointError('timeout', `The kernel was not ready within ${startMs / 1000} s. Try again later.`)
}

/** What was taken up can be ready and then turn out to be without a process: by then its successor is on its way. */
export function goneAgain(): SavepointError {
  return new SavepointError('kernel_dead', 'The kernel ended before it was ready.')
}

/** An earlier gateway had it. */
export function notTakenUp(): SavepointError {
  const message = 'The gateway was restarted and has not taken this kernel up yet. Ask again in a moment.'
  return new SavepointError('starting', message, { retry_after_s: 1 })
}

export function dead(): SavepointError {
  return new SavepointError('kernel_dead', 'The kernel is dead. Restart it, or start another one.')
}

export function ended(): SavepointError {
  return new SavepointError('kernel_dead', 'The kernel has ended. Start another one.')
}
