/**
 * Which of a user's kernels has taken what he may not have, as looks at them show it.
 *
 * Between two looks several kernels may have grown, and which of them did so last is not seen. Two things tell: only
 * one that grew by what is too much, or more, can have gone beyond the limit with its last bytes; and one that is still
 * growing when it is looked at again is the one. A share of memory (PSS) also rises when somebody else stops sharing,
 * or writes to what was shared; but a process cannot grow without page faults of its own, which the other has instead.
 */

/** What the system counted for one process: before its memory was measured, and after that. */
export interface Faults {
  readonly before: number
  readonly after: number
}

/** One kernel at one look. */
export interface Sample {
  readonly bytes: number
  /** By process; of those in control groups, whose memory is not shared, nobody has to know. */
  readonly faults: ReadonlyMap<number, Faults>
  /** It had grown before it was looked at for the first time: it is that of another gateway. */
  readonly isTakenUp: boolean
}

/** All kernels of a user by id. */
export type Look = ReadonlyMap<string, Sample>

/** `again`: look at them at once. `nobody`: there is none that has grown. */
export type Verdict = { readonly end: string } | 'fits' | 'again' | 'nobody'

/** So many looks are worth keeping. */
export const LOOKS_MAX = 12
/** After which one that grew no further is taken for the one. */
const AGAIN_MAX = 3
/** One fault brings as much, where pages are huge. */
const BYTES_A_FAULT = 2 * 1_048_576
/** Kernels with nothing to do differ by less. */
const NOTABLE_BYTES = 1_048_576

/** `looks`: the latest ones, in their order; before the first of a user's kernels there is an empty one. */
export function judge(looks: readonly Look[], mostBytes: number): Verdict {
  const newest = looks.at(-1)
  if (newest === undefined || sumOf(newest) <= mostBytes) return 'fits'
  const within = looks.findLastIndex((look) => sumOf(look) <= mostBytes)
  // How it came to be too much is not known: whoever grew last, or grows next, made it worse.
  if (within < 0) return lastOf(looks)
  const beyond = looks[within + 1] as Look
  const excess = sumOf(beyond) - mostBytes
  const grown = growthsOf([looks[within] as Look, beyond]).filter(([id]) => newest.has(id))
  // The rest came of shares, or with kernels of another gateway.
  const explained = grown.reduce((sum, [, bytes]) => sum + bytes, 0)
  const able = grown.filter(([, bytes]) => bytes >= excess)
  if (able.length === 1) return end(able)
  const suspects = able.length > 0 ? able : grown.filter(([, bytes]) => explained >= excess || bytes >= excess / 4)
  if (suspects.length === 0) return lastOf(looks.slice(within + 1))
  const since = growthsOf(looks.slice(within + 1)).filter(
    ([id, bytes]) => bytes >= NOTABLE_BYTES && suspects.some(([suspect]) => suspect === id),
  )
  if (since.length > 0) return end(since)
  if (looks.length - (within + 2) < AGAIN_MAX) return 'again'
  return end(suspects)
}

/** The one that grew most in the last time that anybody did so notably. */
function lastOf(looks: readonly Look[]): Verdict {
  for (let at = looks.length - 1; at > 0; at--) {
    const grown = growthsOf(looks.slice(at - 1, at + 1)).filter(([, bytes]) => bytes >= NOTABLE_BYTES)
    const there = grown.filter(([id]) => looks.at(-1)?.has(id))
    if (there.length > 0) return end(there)
  }
  return 'nobody'
}

function end(grown: readonly Growth[]): Verdict {
  return { end: grown.reduce((most, each) => (each[1] > most[1] ? each : most))[0] }
}

type Growth = readonly [id: string, bytes: number]

/** Those that grew from the first of these looks to the last, and by how much. */
function growthsOf(looks: readonly Look[]): Growth[] {
  const sums = new Map<string, number>()
  for (let at = 1; at < looks.length; at++) {
    for (const [id, sample] of looks[at] as Look) {
      sums.set(id, (sums.get(id) ?? 0) + growth(looks[at - 1]?.get(id), sample))
    }
  }
  return [...sums].filter(([, bytes]) => bytes > 0)
}

function growth(former: Sample | undefined, sample: Sample): number {
  if (former === undefined && sample.isTakenUp) return 0
  const bytes = sample.bytes - (former?.bytes ?? 0)
  let faults = 0
  for (const [pid, { after }] of sample.faults) faults += Math.max(0, after - (former?.faults.get(pid)?.before ?? 0))
  // Not every system counts them.
  const isCounted = [...sample.faults.values()].some(({ after }) => after > 0)
  return isCounted ? Math.min(bytes, faults * BYTES_A_FAULT) : bytes
}

function sumOf(look: Look): number {
  let sum = 0
  for (const { bytes } of look.values()) sum += bytes
  return sum
}
