/** What a cell asks for beyond being run: from its metadata, or from a leading `%%transaction` line. */

import { SavepointError } from '../errors.js'
import { config } from '../config.js'
import type { IncomingMessage } from '../wire/message.js'
import { checkpointName } from './checkpoints.js'
import type { StreamMode } from './streams.js'
import { checkName, engineNamed, policyNamed, type EngineWish, type Policy } from './terms.js'

export interface CellWishes {
  /** null: the cell just runs (`commit_always`). */
  readonly transaction: { readonly policy: Policy; readonly name: string | null; readonly engine: EngineWish } | null
  /** Wished for in the cell's text, by a person who reads what it prints. */
  readonly byMagic: boolean
  readonly streamMode: StreamMode
  /** A checkpoint to be made when the cell has succeeded. */
  readonly checkpoint: { readonly name: string | null } | null
  /** Seconds after which it is interrupted, or null. */
  readonly timeoutS: number | null
  /** Named in the reply: what was asked for and is not understood. */
  readonly warnings: readonly string[]
}

const NOTHING: CellWishes = {
  transaction: null,
  byMagic: false,
  streamMode: 'realtime',
  checkpoint: null,
  timeoutS: null,
  warnings: [],
}
/** Nothing but to be run, and nothing to warn of. */
export function isPlain(wishes: CellWishes): boolean {
  return wishes === NOTHING
}

const MAGIC = /^\s*%%transaction\b([^\n]*)/

/** Reads a cell's wishes. Throws SavepointError for values that do not exist: then the cell must not run. */
export function wishesOf(message: IncomingMessage, code: string): CellWishes {
  const magic = MAGIC.exec(code)
  const fromMetadata = message.metadataBytes.includes('"savepoint"') ? fromMetadataOf(message.metadataBytes) : NOTHING
  if (!magic) return fromMetadata
  return { ...fromMetadata, transaction: transactionOf(parseMagic(magic[1] ?? '')), byMagic: true }
}

function fromMetadataOf(bytes: Buffer): CellWishes {
  const metadata = parseObject(bytes)
  const wishes = metadata['savepoint']
  if (wishes === undefined) return NOTHING
  if (!isObject(wishes)) throw new SavepointError('bad_request', 'The metadata key "savepoint" must be an object.')
  const { transaction, stream_mode, checkpoint, timeout_s, ...others } = wishes
  const known = {
    ...NOTHING,
    streamMode: streamModeNamed(stream_mode),
    checkpoint: checkpointOf(checkpoint),
    timeoutS: timeoutOf(timeout_s),
  }
  const warnings = Object.keys(others).map((key) => `Ignored metadata savepoint.${key}: this version does not know it.`)
  if (transaction === undefined || transaction === null) return { ...known, warnings }
  const spec = typeof transaction === 'string' ? { policy: transaction } : transaction
  if (!isObject(spec)) {
    throw new SavepointError('bad_request', 'The metadata key savepoint.transaction must be a policy or an object.')
  }
  const { policy, name, engine, ...unknown } = spec
  for (const key of Object.keys(unknown)) {
    warnings.push(`Ignored metadata savepoint.transaction.${key}: this version does not know it.`)
  }
  const wished = transactionOf({ policy: policy ?? 'commit_always', name, engine })
  return { ...known, transaction: wished, warnings }
}

function streamModeNamed(value: unknown): StreamMode {
  if (value === undefined || value === null || value === 'realtime') return 'realtime'
  if (value === 'buffered') return 'buffered'
  throw new SavepointError('bad_request', 'The metadata key savepoint.stream_mode must be "realtime" or "buffered".', {
    stream_mode: value,
  })
}

function checkpointOf(value: unknown): CellWishes['checkpoint'] {
  if (value === undefined || value === null) return null
  const { name } = typeof value === 'string' ? { name: value } : isObject(value) ? value : { name: value }
  return { name: checkpointName(name) }
}

function timeoutOf(value: unknown): number | null {
  if (value === undefined || value === null) return null
  const most = config.cellTimeoutSMax
  if (typeof value === 'number' && value > 0 && value <= most) return value
  throw new SavepointError('bad_request', `timeout_s must be a number of seconds above 0, at most ${most}.`, {
    timeout_s: value,
  })
}

interface TransactionSpec {
  readonly policy: unknown
  readonly name?: unknown
  readonly engine?: unknown
}

function transactionOf(spec: TransactionSpec): CellWishes['transaction'] {
  const policy = policyNamed(spec.policy)
  const engine = engineNamed(spec.engine)
  const name = checkName(spec.name)
  return policy === null ? null : { policy, name, engine }
}

/** `%%transaction [POLICY] [--name N] [--engine E]` */
function parseMagic(line: string): TransactionSpec {
  const words = line.trim().split(/\s+/).filter(Boolean)
  const spec: { policy: unknown; name?: unknown; engine?: unknown } = { policy: 'rollback_on_failure' }
  let positional = 0
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i]
    if (word === '--name' || word === '--engine') {
      i += 1
      if (words[i] === undefined) throw new SavepointError('bad_request', `%%transaction: ${word} needs a value.`)
      spec[word === '--name' ? 'name' : 'engine'] = words[i]
    } else if (word?.startsWith('-') || positional > 0) {
      throw new SavepointError(
        'bad_request',
        `%%transaction does not understand '${word}'. Write %%transaction [POLICY] [--name N] [--engine E].`,
      )
    } else {
      positional += 1
      spec.policy = word
    }
  }
  return spec
}

/** A JSON object from bytes of a client. Throws `bad_request`. */
export function parseObject(bytes: Buffer): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString())
  } catch (cause) {
    throw new SavepointError('bad_request', 'The content is not JSON.', {}, { cause })
  }
  if (!isObject(value)) throw new SavepointError('bad_request', 'The content must be an object.')
  return value
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
