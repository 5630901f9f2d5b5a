/** The kinds of values that settings have, each with how it is written, checked and described. */

/** What a setting may be, as JSON Schema has it. */
export type ValueSchema = Readonly<Record<string, unknown>>

export interface Kind<T> {
  /** What it is when nobody sets it. */
  readonly initial: T
  /** In the words that a person is told. */
  readonly allowed: string
  /** For the configuration file, as JSON Schema. */
  readonly schema: ValueSchema
  /** From a variable or a flag. null: not allowed. */
  readonly parse: (text: string) => T | null
  /** From the file. null: not allowed. */
  readonly accept: (value: unknown) => T | null
  /** How the reference shows `initial`. */
  readonly shown: string
}

export function integer(initial: number, min: number, max: number): Kind<number> {
  const within = (value: number): number | null => (value >= min && value <= max ? value : null)
  return {
    initial,
    allowed: `a whole number from ${min} to ${max}`,
    schema: { type: 'integer', minimum: min, maximum: max },
    parse: (text) => (/^\d{1,15}$/.test(text) ? within(Number(text)) : null),
    accept: (value) => (typeof value === 'number' && Number.isInteger(value) ? within(value) : null),
    shown: String(initial),
  }
}

export function onOff(initial: boolean): Kind<boolean> {
  return {
    initial,
    allowed: '`on` or `off`',
    schema: { enum: ['on', 'off', true, false] },
    parse: (text) => (text === 'on' ? true : text === 'off' ? false : null),
    accept: (value) => (value === true || value === 'on' ? true : value === false || value === 'off' ? false : null),
    shown: initial ? 'on' : 'off',
  }
}

export function oneOf<const T extends string>(initial: NoInfer<T>, values: readonly T[]): Kind<T> {
  const find = (value: unknown): T | null => values.find((each) => each === value) ?? null
  return {
    initial,
    allowed: `one of ${values.join(', ')}`,
    schema: { enum: values },
    parse: find,
    accept: find,
    shown: initial,
  }
}

/** `what`: what it stands for, as "a path". */
export function text(initial: string, what: string): Kind<string> {
  return {
    initial,
    allowed: what,
    schema: { type: 'string' },
    parse: (value) => value,
    accept: (value) => (typeof value === 'string' ? value : null),
    shown: initial,
  }
}

/** Words between commas, or a list in the file. */
export function list(what: string): Kind<readonly string[]> {
  return {
    initial: [],
    allowed: `${what}, separated by commas`,
    schema: { type: 'array', items: { type: 'string' } },
    parse: split,
    accept: (value) => {
      if (typeof value === 'string') return split(value)
      return Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : null
    },
    shown: '',
  }
}

/** Some of these words, between commas, or as a list in the file. */
export function words<const T extends string>(initial: '', known: readonly T[]): Kind<readonly T[]> {
  const find = (given: readonly unknown[]): readonly T[] | null => {
    const found = given.flatMap((each) => known.find((word) => word === each) ?? [])
    return found.length === given.length ? found : null
  }
  return {
    initial: [],
    allowed: `some of ${known.join(', ')}, separated by commas`,
    schema: { anyOf: [{ type: 'array', items: { enum: known } }, { type: 'string' }] },
    parse: (value) => find(split(value)),
    accept: (value) => find(typeof value === 'string' ? split(value) : Array.isArray(value) ? value : [value]),
    shown: initial,
  }
}

/** Counts by name, as `last=10,daily=7`: of those names, each once. */
export function counts<const N extends string>(
  names: readonly N[],
  max: number,
): Kind<Readonly<Partial<Record<N, number>>>> {
  type Counts = Readonly<Partial<Record<N, number>>>
  const parse = (value: string): Counts | null => {
    const found = new Map<string, number>()
    for (const pair of split(value)) {
      const [, name = '', digits = ''] = /^(\w+)=(\d{1,9})$/.exec(pair) ?? []
      if (!names.some((each) => each === name) || found.has(name) || Number(digits) > max) return null
      found.set(name, Number(digits))
    }
    return Object.fromEntries(found) as Counts
  }
  return {
    initial: {} as Counts,
    allowed: `counts up to ${max} of ${names.join(', ')}, such as \`${names
      .slice(0, 2)
      .map((name) => `${name}=10`)
      .join(',')}\``,
    schema: { type: 'string' },
    parse,
    accept: (value) => (typeof value === 'string' ? parse(value) : null),
    shown: '',
  }
}

function split(value: string): readonly string[] {
  return value
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

/** Of that kind, or nothing unless it is set; `otherwise` says in words what holds then. */
export function optional<T>(kind: Kind<T>, otherwise: string): Kind<T | null> {
  return {
    ...kind,
    initial: null,
    schema: { anyOf: [kind.schema, { type: 'null' }] },
    accept: (value) => kind.accept(value),
    shown: otherwise,
  }
}
