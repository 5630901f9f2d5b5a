/** Versions as numbers, enough to say which of two is the older one. */

export type Version = readonly number[]

/** `8.24.0rc1` is [8, 24, 0]: a candidate counts as its release. Null for what does not start with a number. */
export function parseVersion(text: string | null | undefined): Version | null {
  const found = /^\s*v?(\d+(?:\.\d+)*)/.exec(text ?? '')
  return found?.[1] === undefined ? null : found[1].split('.').map(Number)
}

export function isAtLeast(version: Version | null, least: Version): boolean {
  if (version === null) return false
  for (let place = 0; place < least.length; place++) {
    const difference = (version[place] ?? 0) - (least[place] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

export function showVersion(version: Version): string {
  return version.join('.')
}
