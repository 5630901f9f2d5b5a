/**
 * What a cell prints, on its way out: at once, or, in a cell of stream mode `buffered`, gathered until the cell ends.
 *
 * Gathered text goes out as one message a stream, stdout before stderr, right before the cell's reply. What is displayed
 * meanwhile, and errors, are published when they are made, so they stand before it. Three things send it earlier:
 * a question on stdin, since people read what was printed before they answer; `clear_output`, which must clear what was
 * printed before it; and more of it than the limit, which a warning in the reply tells. Nothing is dropped.
 */

import type { StreamName } from './effects.js'
import type { KernelState } from './state.js'

export type StreamMode = 'realtime' | 'buffered'

/** What a cell has printed that clients have not seen. */
export interface Gathered {
  readonly stdout: Buffer[]
  readonly stderr: Buffer[]
  bytes: number
}

export function newGathered(): Gathered {
  return { stdout: [], stderr: [], bytes: 0 }
}

/** Takes text of a stream, escaped as the inside of a JSON string. */
export function publishStream(
  state: KernelState,
  name: StreamName,
  parentBytes: Buffer,
  text: Buffer,
  flushed = false,
): void {
  const { turn } = state
  const gathered = turn?.answered === false ? turn.cell?.gathered : null
  if (!turn?.cell || !gathered || turn.request.message.headerBytes !== parentBytes) {
    state.effects.push({ do: 'publish_stream', name, parentBytes, text, ...(flushed ? { flushed } : {}) })
    return
  }
  gathered[name].push(text)
  gathered.bytes += text.length
  const { bufferedBytesMax } = state.options.limits
  if (gathered.bytes <= bufferedBytesMax) return
  release(state)
  const warning = `Output was sent before the end of the cell, since more than ${bufferedBytesMax} bytes had gathered.`
  if (!turn.cell.warnings.includes(warning)) turn.cell.warnings.push(warning)
}

/** Sends what the running cell has gathered. */
export function release(state: KernelState): void {
  const { turn } = state
  const gathered = turn?.cell?.gathered
  if (!turn || !gathered) return
  gathered.bytes = 0
  for (const name of ['stdout', 'stderr'] as const) {
    const chunks = gathered[name].splice(0)
    if (chunks.length === 0) continue
    const parentBytes = turn.request.message.headerBytes
    state.effects.push({ do: 'publish_stream', name, parentBytes, text: Buffer.concat(chunks) })
  }
}
