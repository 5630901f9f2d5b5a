/**
 * What the frozen copies of all kernels of a gateway may hold together.
 *
 * Each kernel keeps its own within a budget; all of them together could still fill the machine. What is too much is
 * taken from those that have been at rest for the longest time: they are the least likely to miss it. But nobody loses
 * the way back over its last cell while others have more than that, nor what a crash is made good with while others have
 * something to undo.
 */

/** Moments that each kernel keeps for as long as others have more: the present and one to undo to, the present, none. */
const MOMENTS_MIN = [2, 1, 0] as const

/** A kernel with copies. */
export interface Holder {
  /** What its copies alone hold at present, in bytes. */
  bytes(): number
  /** Milliseconds since the epoch. */
  readonly lastActivity: number
  /** Gives up the oldest copies of the guard, but for the newest `momentsMin`, until they hold no more than that. */
  trim(bytesMax: number, momentsMin: number): void
}

/** Trims kernels until what all copies hold is within `bytesMax`. Returns how many were trimmed. */
export function keepAllWithin(holders: readonly Holder[], bytesMax: number): number {
  let excess = holders.reduce((sum, holder) => sum + holder.bytes(), 0) - bytesMax
  if (excess <= 0) return 0
  const trimmed = new Set<Holder>()
  const rested = holders.toSorted((one, other) => one.lastActivity - other.lastActivity)
  for (const momentsMin of MOMENTS_MIN) {
    for (const holder of rested) {
      if (excess <= 0) return trimmed.size
      const before = holder.bytes()
      if (before === 0) continue
      holder.trim(Math.max(0, before - excess), momentsMin)
      const given = before - holder.bytes()
      excess -= given
      if (given > 0) trimmed.add(holder)
    }
  }
  return trimmed.size
}
