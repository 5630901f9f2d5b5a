/**
 * What the frozen copies of all kernels of a gateway may hold together.
 *
 * Each kernel keeps its own within a budget; all of them together could still fill the machine. What is too much is
 * taken from those that have been at rest for the longest time: they are the least likely to miss it.
 */

/** A kernel with copies. */
export interface Holder {
  /** What its copies alone hold, as last measured. */
  readonly bytes: number
  /** Milliseconds since the epoch. */
  readonly lastActivity: number
  /** Gives up the oldest copies of the guard until they hold no more than that. */
  trim(bytesMax: number): void
}

/** Trims kernels until what all copies hold is within `bytesMax`. Returns how many were trimmed. */
export function keepAllWithin(holders: readonly Holder[], bytesMax: number): number {
  let excess = holders.reduce((sum, { bytes }) => sum + bytes, 0) - bytesMax
  let trimmed = 0
  for (const holder of holders.toSorted((one, other) => one.lastActivity - other.lastActivity)) {
    if (excess <= 0) break
    if (holder.bytes === 0) continue
    holder.trim(Math.max(0, holder.bytes - excess))
    excess -= holder.bytes
    trimmed += 1
  }
  return trimmed
}
