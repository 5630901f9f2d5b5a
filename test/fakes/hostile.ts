/** Messages that no decent client sends: the same seed makes the same ones. */

import { createHmac } from 'node:crypto'
import type { Random } from './random.js'

const DELIMITER = Buffer.from('<IDS|MSG>')

const TYPES = [
  ...['execute_request', 'execute_request', 'complete_request', 'inspect_request', 'is_complete_request'],
  ...['history_request', 'comm_info_request', 'connect_request', 'kernel_info_request', 'interrupt_request'],
  ...['comm_open', 'comm_msg', 'comm_msg', 'comm_close', 'usage_request', 'debug_request', 'input_reply'],
  ...['create_subshell_request', 'delete_subshell_request', 'list_subshell_request', 'apply_request'],
  ...['execute_reply', 'status', 'shutdown_reply', '__proto__', 'constructor', 'toString', 'x'.repeat(10_000), ' '],
]

const OPS = [
  'begin',
  'rollback',
  'commit',
  'status',
  'create',
  'list',
  'restore',
  'set',
  'get',
  'toString',
  '__proto__',
]

/** Values as they stand in JSON, and some that JSON does not have. */
const VALUES = [
  ...['null', 'true', 'false', '0', '-1', '1e999', '-0', '9007199254740993', '123456789012345678901234567890', '1.5'],
  ...['NaN', 'Infinity', '""', '"x"', '"\\ud800"', '"\\u0000"', '"../../etc/passwd"', '[]', '{}', '[[]]', '{"a":1}'],
  ...['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{}}}', `"${'y'.repeat(5_000)}"`],
  ...[
    '['.repeat(2_000) + ']'.repeat(2_000),
    '{"a":'.repeat(500) + '1' + '}'.repeat(500),
    '"cp_1"',
    '"explicit"',
    '[1,2',
  ],
]

const FIELDS = [
  ...['code', 'silent', 'store_history', 'user_expressions', 'allow_stdin', 'stop_on_error', 'cursor_pos'],
  ...['detail_level', 'hist_access_type', 'n', 'session', 'start', 'stop', 'pattern', 'unique', 'output', 'raw'],
  ...['comm_id', 'target_name', 'data', 'restart', 'subshell_id', 'value', 'command', 'seq', 'type', '__proto__'],
]

const TARGETS = ['savepoint.transaction', 'savepoint.checkpoint', 'savepoint.namespace', 'widget', '__proto__', '']
const HEADER_FIELDS = ['msg_id', 'msg_type', 'session', 'username', 'date', 'version', 'subshell_id', '__proto__']

export class Hostile {
  readonly #random: Random
  readonly #key: string
  #made = 0
  #earlier: Buffer[] | null = null

  constructor(random: Random, key: string) {
    this.#random = random
    this.#key = key
  }

  /** The frames after the routing id. About a third of them are signed and well enough formed to be served. */
  next(): Buffer[] {
    const { chance } = bound(this.#random)
    if (chance(0.02)) return this.#noise()
    if (this.#earlier && chance(0.02)) return this.#earlier
    const parts = [this.#header(), this.#parent(), this.#metadata(), this.#content()].map((text) => this.#bytes(text))
    if (chance(0.1)) parts[Math.floor(this.#random.next() * 4)] = this.#junk()
    const buffers = chance(0.1) ? [this.#junk(), DELIMITER] : []
    const frames = [DELIMITER, this.#sign(parts), ...parts, ...buffers]
    if (chance(0.1)) this.#spoil(frames)
    this.#earlier = frames
    return frames
  }

  #header(): string {
    const { chance, pick } = bound(this.#random)
    this.#made += 1
    const fields: [string, string][] = [
      ['msg_id', `"h${this.#made}"`],
      ['msg_type', JSON.stringify(pick(TYPES))],
      ['session', pick(['"a"', '"b"', '""'])],
      ['username', '"u"'],
      ['date', pick(['"2030-01-01T00:00:00.000Z"', '"never"', '""', '"9999999-99-99"'])],
      ['version', '"5.5"'],
    ]
    if (chance(0.05)) fields.push(['subshell_id', pick(['"nobody"', 'null', '""', '7'])])
    if (chance(0.08)) fields.push([pick(HEADER_FIELDS), pick(VALUES)])
    if (chance(0.05)) fields.splice(Math.floor(this.#random.next() * fields.length), 1)
    return objectOf(fields)
  }

  #parent(): string {
    const { chance, pick } = bound(this.#random)
    if (chance(0.8)) return '{}'
    return chance(0.5) ? `{"msg_id":"h${this.#made - 1}","msg_type":"input_request"}` : pick(VALUES)
  }

  #metadata(): string {
    const { chance, pick } = bound(this.#random)
    if (chance(0.7)) return '{}'
    const wish = pick(['transaction', 'checkpoint', 'stream_mode', 'timeout_s', 'idempotency_key', 'unheard_of'])
    const value = chance(0.5)
      ? pick(VALUES)
      : pick(['"explicit"', '"rollback_on_failure"', '"dry_run"', '{"policy":7}'])
    return chance(0.9) ? `{"savepoint":{"${wish}":${value}}}` : `{"savepoint":${pick(VALUES)}}`
  }

  #content(): string {
    const { chance, pick } = bound(this.#random)
    const fields: [string, string][] = chance(0.6) ? [['code', '"1"']] : []
    if (chance(0.4)) {
      const data = `{"id":${chance(0.9) ? '"i"' : pick(VALUES)},"op":${chance(0.9) ? `"${pick(OPS)}"` : pick(VALUES)},"name":${pick(VALUES)}}`
      fields.push(['comm_id', `"c${Math.floor(this.#random.next() * 5)}"`])
      fields.push(['target_name', JSON.stringify(pick(TARGETS))], ['data', data])
    }
    while (chance(0.4)) fields.push([pick(FIELDS), pick(VALUES)])
    return objectOf(fields)
  }

  #bytes(text: string): Buffer {
    const bytes = Buffer.from(text)
    if (bytes.length > 0 && this.#random.chance(0.02)) {
      bytes[Math.floor(this.#random.next() * bytes.length)] = Math.floor(this.#random.next() * 256)
    }
    return bytes
  }

  /** After signing: what arrives is not what was signed, or not all of it. */
  #spoil(frames: Buffer[]): void {
    const at = Math.floor(this.#random.next() * frames.length)
    const how = this.#random.next()
    if (how < 0.3) frames.splice(at, 1)
    else if (how < 0.5) frames.splice(at, 0, this.#junk())
    else if (how < 0.7) frames[at] = this.#junk()
    else if (how < 0.85) frames.splice(at)
    else frames.reverse()
  }

  #noise(): Buffer[] {
    const frames: Buffer[] = []
    while (this.#random.chance(0.8) && frames.length < 20) frames.push(this.#junk())
    return frames.length > 0 ? frames : [Buffer.alloc(0)]
  }

  #junk(): Buffer {
    const kinds = [
      () => Buffer.alloc(0),
      () => Buffer.from([0xff, 0xfe, 0x80, 0xed, 0xa0, 0x80]),
      () => Buffer.from(this.#random.pick(VALUES)),
      () => DELIMITER,
      () => Buffer.from(Array.from({ length: 40 }, () => Math.floor(this.#random.next() * 256))),
    ]
    return this.#random.pick(kinds)()
  }

  #sign(parts: readonly Buffer[]): Buffer {
    const hmac = createHmac('sha256', this.#key)
    for (const part of parts) hmac.update(part)
    return Buffer.from(hmac.digest('hex'))
  }
}

function objectOf(fields: readonly (readonly [string, string])[]): string {
  return `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`
}

/** The two that are used most. */
function bound(random: Random): { chance: (p: number) => boolean; pick: <T>(choices: readonly T[]) => T } {
  return { chance: (p) => random.chance(p), pick: (choices) => random.pick(choices) }
}
