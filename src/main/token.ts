/** `savepoint token`: signed tokens for people and programs, of the data folder's gateway. */

import { resolveSettings } from '../config.js'
import { SavepointError } from '../errors.js'
import { isSubject } from '../gateway/auth/jwt.js'
import { ALL_SCOPES, isScope, LOCAL_SUBJECT, type Scope } from '../gateway/auth/principal.js'
import { createToken, forgetEnded, listTokens, revokeToken, type TokenRecord } from '../gateway/auth/token-store.js'
import { parseFlags, usage } from './flags.js'
import { EXIT } from './report.js'

const COMMON = { '--data-dir': 'value', '--json': 'switch' } as const

const UNITS_S: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }
const EXPIRES_S_MAX = 315_360_000

/** Throws USAGE; `storage_failed` where the data folder cannot be used. */
export async function runToken(args: readonly string[]): Promise<number> {
  const [action, ...rest] = args
  if (action === 'create') return create(rest)
  if (action === 'list') return list(rest)
  if (action === 'revoke') return revoke(rest)
  throw usage('Say what to do with tokens: create, list or revoke.')
}

function create(args: readonly string[]): number {
  const { given } = parseFlags(args, { ...COMMON, '--subject': 'value', '--scope': 'values', '--expires': 'value' })
  const subject = given['--subject'] ?? LOCAL_SUBJECT
  if (!isSubject(subject)) throw usage('--subject is 1 to 256 characters long, without control characters.')
  const scopes = given['--scope'].length === 0 ? ALL_SCOPES : [...new Set(given['--scope'].flatMap(scopesOf))]
  const now = new Date()
  const expiresAt =
    given['--expires'] === undefined ? null : new Date(now.getTime() + duration(given['--expires']) * 1000)
  const { dataDir } = placeOf(given['--data-dir'])
  forgetEnded(dataDir, now)
  const { token, record } = createToken(dataDir, { subject, scopes, expiresAt }, now)
  if (given['--json']) say(JSON.stringify({ token, ...record }))
  else {
    process.stderr.write(`${lineOf(record)}\nThis is the only time that it is shown:\n`)
    say(token)
  }
  return EXIT.done
}

function list(args: readonly string[]): number {
  const { given } = parseFlags(args, COMMON)
  const items = listTokens(placeOf(given['--data-dir']).dataDir)
  if (given['--json']) say(JSON.stringify({ items, total_count: items.length }))
  else for (const record of items) say(lineOf(record))
  return EXIT.done
}

function revoke(args: readonly string[]): number {
  const { given, rest } = parseFlags(args, { ...COMMON, '--foreign': 'switch' }, { keepRest: true })
  const [id, more] = rest
  if (id === undefined || id === '' || id.startsWith('-') || more !== undefined)
    throw usage('Give the id of one token.')
  const { dataDir } = placeOf(given['--data-dir'])
  if (!revokeToken(dataDir, id, given['--foreign'])) {
    throw new SavepointError('not_found', `No token ${id} was made here. See: savepoint token list`, { id })
  }
  if (given['--json']) say(JSON.stringify({ id, revoked: true }))
  else say(`Revoked ${id}. Connections that it opened end within a few seconds.`)
  return EXIT.done
}

function scopesOf(written: string): readonly Scope[] {
  const named = written.split(/[\s,]+/).filter((name) => name !== '')
  return named.flatMap((name): readonly Scope[] => {
    const all = ALL_SCOPES.filter((scope) => name === `${scope.split(':')[0]}:*`)
    if (all.length > 0) return all
    if (isScope(name)) return [name]
    throw usage(
      `There is no scope ${name}. Scopes are admin, ${ALL_SCOPES.join(', ')}; kernels:* stands for all of kernels.`,
    )
  })
}

function duration(written: string): number {
  const [, count = '', unit = ''] = /^(\d{1,9})([smhdw])$/.exec(written) ?? []
  const seconds = Number(count) * (UNITS_S[unit] ?? NaN)
  if (!(seconds > 0 && seconds <= EXPIRES_S_MAX))
    throw usage('--expires is a duration such as 30m, 12h, 90d or 52w, at most ten years.')
  return seconds
}

function placeOf(dataDir: string | undefined): { dataDir: string } {
  return resolveSettings(dataDir === undefined ? {} : { dataDir })
}

function lineOf({ id, subject, scopes, expires_at: expiresAt, revoked }: TokenRecord): string {
  const whole = ALL_SCOPES.every((scope) => scopes.includes(scope)) ? ['everything but admin'] : []
  const extra = whole.length > 0 ? scopes.filter((scope) => scope === 'admin') : scopes
  const until = revoked ? 'revoked' : expiresAt === null ? 'does not expire' : `until ${expiresAt}`
  return `${id}  ${subject}  ${[...whole, ...extra].join(' ')}  ${until}`
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
