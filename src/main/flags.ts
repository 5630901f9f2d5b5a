/** Reads `--flag value`, `--flag=value` and `--switch` by a table. */
import { SavepointError } from '../errors.js'

export type FlagTable = Readonly<Record<string, 'value' | 'values' | 'switch'>>

interface FlagValues {
  value: string | undefined
  /** Each time that it was given, in order. */
  values: readonly string[]
  switch: boolean
}
type FlagValue<K extends keyof FlagValues> = FlagValues[K]

export interface ParsedFlags<T extends FlagTable> {
  readonly given: { readonly [K in keyof T]: FlagValue<T[K]> }
  /** What no flag of the table claimed, in order. */
  readonly rest: readonly string[]
}

/**
 * Table keys are the flags as they are typed (`--python`, `-f`). A `value` given twice is the last one: a kernelspec's
 * argv may be extended by whoever starts it. `--` ends the flags. Throws USAGE for a flag without its value, for a switch
 * with one and, unless `keepRest`, for anything that the table does not have.
 */
export function parseFlags<T extends FlagTable>(
  args: readonly string[],
  table: T,
  options: { keepRest?: boolean } = {},
): ParsedFlags<T> {
  const given: Record<string, string | readonly string[] | boolean | undefined> = {}
  const lists: Record<string, string[]> = {}
  for (const [flag, takes] of Object.entries(table)) {
    given[flag] = takes === 'switch' ? false : takes === 'values' ? (lists[flag] = []) : undefined
  }
  const rest: string[] = []
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? ''
    if (arg === '--') {
      rest.push(...args.slice(index + 1))
      break
    }
    const [flag, inline] = split(arg)
    const takes = Object.hasOwn(table, flag) ? table[flag] : undefined
    if (takes === undefined) rest.push(arg)
    else if (takes === 'switch') given[flag] = withoutValue(flag, inline)
    else if (takes === 'values') lists[flag]?.push(inline ?? valueAfter(flag, args[++index]))
    else given[flag] = inline ?? valueAfter(flag, args[++index])
  }
  if (!options.keepRest && rest[0] !== undefined) {
    throw usage(
      rest[0].startsWith('-') ? `There is no option ${rest[0]} here.` : `Nothing is expected here: ${rest[0]}`,
    )
  }
  return { given: given as ParsedFlags<T>['given'], rest }
}

export function usage(message: string): SavepointError {
  return new SavepointError('USAGE', `${message}\nSee: savepoint --help`)
}

function split(arg: string): [flag: string, inline: string | undefined] {
  const at = arg.indexOf('=')
  return arg.startsWith('-') && at > 0 ? [arg.slice(0, at), arg.slice(at + 1)] : [arg, undefined]
}

function withoutValue(flag: string, inline: string | undefined): true {
  if (inline !== undefined) throw usage(`${flag} takes no value.`)
  return true
}

// A value that looks like another flag is a forgotten value: `--python --guard`. One that does begin with a dash can be
// given with `=`; a dash alone stands for a file.
function valueAfter(flag: string, next: string | undefined): string {
  if (next === undefined || (next.startsWith('-') && next !== '-')) throw usage(`${flag} needs a value.`)
  return next
}
