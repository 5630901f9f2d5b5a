/** Compares what came with what a transcript expects. */

/**
 * Where `actual` does not fit `expected`, in words; null if it fits.
 *
 * Objects may have more keys than expected. `"*"` stands for anything that is there, a text between slashes for a
 * regular expression.
 */
export function mismatch(expected: unknown, actual: unknown, path = 'content'): string | null {
  if (expected === '*') return actual === undefined ? `${path} is missing` : null
  if (typeof expected === 'string' && /^\/.+\/$/s.test(expected)) {
    const fits = typeof actual === 'string' && new RegExp(expected.slice(1, -1), 's').test(actual)
    return fits ? null : differ(expected, actual, path)
  }
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) return differ(expected, actual, path)
    return firstOf(expected.map((each, i) => mismatch(each, actual[i], `${path}[${i}]`)))
  }
  if (isObject(expected)) {
    if (!isObject(actual)) return differ(expected, actual, path)
    return firstOf(Object.entries(expected).map(([key, value]) => mismatch(value, actual[key], `${path}.${key}`)))
  }
  return Object.is(expected, actual) ? null : differ(expected, actual, path)
}

function differ(expected: unknown, actual: unknown, path: string): string {
  return `${path}: expected ${JSON.stringify(expected)}, got ${actual === undefined ? 'nothing' : JSON.stringify(actual)}`
}

function firstOf(found: readonly (string | null)[]): string | null {
  return found.find((each) => each !== null) ?? null
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Names for what differs from run to run: ids are numbered by kind in the order in which they first appear (`tx_1`),
 * dates become `<date>`.
 */
export class Names {
  readonly #canonical = new Map<string, string>()
  readonly #actual = new Map<string, string>()

  canonical(value: unknown): unknown {
    return mapTexts(value, (text) => {
      if (/^\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)$/.test(text)) return '<date>'
      const kind = /^(tx|cp)_\w+$/.exec(text)?.[1]
      if (kind === undefined) return text
      const known = this.#canonical.get(text)
      if (known !== undefined) return known
      const count = [...this.#canonical.values()].filter((each) => each.startsWith(`${kind}_`)).length
      const name = `${kind}_${count + 1}`
      this.#canonical.set(text, name)
      this.#actual.set(name, text)
      return name
    })
  }

  actual(value: unknown): unknown {
    return mapTexts(value, (text) => this.#actual.get(text) ?? text)
  }
}

function mapTexts(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value)
  if (Array.isArray(value)) return value.map((each) => mapTexts(each, map))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, mapTexts(each, map)]))
}
