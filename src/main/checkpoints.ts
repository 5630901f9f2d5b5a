/** `savepoint checkpoints`: what is saved, from the command line; of a gateway, or of the data folder where none runs. */

import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { SavepointError } from '../errors.js'
import {
  differenceLines,
  listLine,
  restoredLines,
  showLines,
  sizeText,
  validityLines,
  type CheckpointFacts,
} from './checkpoint-lines.js'
import { checkpointPlaceOf, type CheckpointPlace } from './checkpoint-places.js'
import { parseFlags, usage, type ParsedFlags } from './flags.js'
import { CLIENT_FLAGS, gatewayOf, type GatewayClient } from './gateway-client.js'
import { kernelId } from './kernels.js'
import { showProgress } from './progress.js'
import { EXIT } from './report.js'

const FLAGS = {
  ...CLIENT_FLAGS,
  '--json': 'switch',
  '--kernel': 'value',
  '--branch': 'value',
  '--search': 'value',
  '--limit': 'value',
  '--note': 'value',
  '--exclude': 'values',
  '--merge': 'switch',
  '--only': 'value',
  '--trust': 'value',
  '-o': 'value',
} as const

type Given = ParsedFlags<typeof FLAGS>['given']

interface Call {
  readonly given: Given
  /** What stands behind the verb. */
  readonly words: readonly string[]
  /** Text for a person, and the same for a program. */
  readonly say: (text: string, value: unknown) => void
}

interface Verb {
  readonly run: (call: Call) => Promise<number>
  /** How many words it takes, and what they are. */
  readonly words: readonly [min: number, max: number, what: string]
  readonly flags: readonly (keyof typeof FLAGS)[]
}

const VERBS: Readonly<Record<string, Verb>> = {
  list: { run: withPlace(list), words: [0, 0, ''], flags: ['--kernel', '--branch', '--search', '--limit'] },
  show: { run: withPlace(show), words: [1, 1, 'CHECKPOINT'], flags: [] },
  create: { run: withGateway(create), words: [0, 1, '[NAME]'], flags: ['--kernel', '--note', '--exclude'] },
  restore: { run: withGateway(restore), words: [1, 1, 'CHECKPOINT'], flags: ['--kernel', '--merge', '--only'] },
  validate: { run: withPlace(validate), words: [1, 1, 'CHECKPOINT'], flags: [] },
  diff: { run: diff, words: [1, 2, 'CHECKPOINT [OTHER]'], flags: ['--kernel'] },
  export: { run: withPlace(exportFile), words: [1, 1, 'CHECKPOINT'], flags: ['-o'] },
  import: { run: withPlace(importFile), words: [1, 1, 'FILE'], flags: ['--trust'] },
  delete: { run: withPlace(remove), words: [1, 1, 'CHECKPOINT'], flags: [] },
}
const ALWAYS: readonly string[] = ['--url', '--token', '--data-dir', '--json']

/** Throws USAGE, and what the gateway or the store refuses. */
export async function runCheckpoints(args: readonly string[]): Promise<number> {
  const { given, rest } = parseFlags(args, FLAGS, { keepRest: true })
  const [name = '', ...words] = rest
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined
  if (!verb) throw usage(`Say what to do with checkpoints: ${Object.keys(VERBS).join(', ')}.`)
  const odd = words.find((word) => word.startsWith('-') && word !== '-') ?? words[verb.words[1]]
  if (odd !== undefined) throw usage(`Nothing is expected here: ${odd}`)
  if (words.length < verb.words[0]) throw usage(`Something is missing: checkpoints ${name} ${verb.words[2]}`)
  const wrong = (Object.keys(FLAGS) as (keyof typeof FLAGS)[]).find(
    (flag) => isGiven(given[flag]) && !ALWAYS.includes(flag) && !verb.flags.includes(flag),
  )
  if (wrong !== undefined) throw usage(`${wrong} does not go with checkpoints ${name}.`)
  checkTogether(name, given, words)
  const say: Call['say'] = (text, value) => {
    process.stdout.write(given['--json'] ? `${JSON.stringify(value)}\n` : text === '' ? '' : `${text}\n`)
  }
  return await verb.run({ given, words, say })
}

/** What each flag alone does not tell. Throws USAGE. */
function checkTogether(name: string, given: Given, words: readonly string[]): void {
  if (!/^(?:[1-9]\d{0,2}|1000)$/.test(given['--limit'] ?? '1')) {
    throw usage('--limit is a whole number from 1 to 1000.')
  }
  if (name === 'restore' && given['--kernel'] === undefined && (given['--merge'] || given['--only'] !== undefined)) {
    throw usage('--merge and --only go with --kernel ID.')
  }
  if (name === 'diff' && given['--kernel'] !== undefined && words.length > 1) {
    throw usage('--kernel goes with one checkpoint: it is compared with that kernel.')
  }
}

function isGiven(value: string | readonly string[] | boolean | undefined): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false
}

type InPlace = (place: CheckpointPlace, call: Call, checkpoint: string) => Promise<number | void>

function withPlace(run: InPlace): Verb['run'] {
  return async (call) => {
    const place = checkpointPlaceOf(call.given)
    try {
      return (await run(place, call, call.words[0] ?? '')) ?? EXIT.done
    } finally {
      await place.close()
    }
  }
}

/** What only a kernel can do. Throws `not_found` where no gateway runs. */
function withGateway(run: (gateway: GatewayClient, call: Call) => Promise<void>): Verb['run'] {
  return async (call) => {
    const gateway = gatewayOf(call.given)
    try {
      await run(gateway, call)
      return EXIT.done
    } finally {
      gateway.close()
    }
  }
}

async function list(place: CheckpointPlace, { given, say }: Call): Promise<void> {
  const limit = given['--limit'] ?? '100'
  const found = await place.list({
    kernelId: given['--kernel'] ?? null,
    branch: given['--branch'] ?? null,
    text: given['--search'] ?? null,
    limit: Number(limit),
  })
  say(found.items.map(listLine).join('\n'), { items: found.items, total_count: found.total_count })
}

async function show(place: CheckpointPlace, { say }: Call, checkpoint: string): Promise<void> {
  const found = await place.show(checkpoint)
  say(showLines(found), found)
}

async function validate(place: CheckpointPlace, { say }: Call, checkpoint: string): Promise<number> {
  const progress = showProgress('Reading')
  const told = await place.validate(checkpoint).finally(() => progress.end())
  say(validityLines(checkpoint, told), told)
  return told.valid ? EXIT.done : EXIT.failed
}

/** With one checkpoint: how the kernel is now. */
async function diff(call: Call): Promise<number> {
  const { given, words, say } = call
  const [from = '', to] = words
  if (to === undefined) {
    return await withGateway(async (gateway) => {
      const id = await kernelOf(gateway, given['--kernel'])
      const body = { op: 'diff', from, to: null }
      const told = await gateway.ask('POST', `/api/kernels/${id}/checkpoints`, body, 0)
      say(differenceLines(told as Parameters<typeof differenceLines>[0]), told)
    })(call)
  }
  return await withPlace(async (place) => {
    const told = await place.diff(from, to)
    say(differenceLines(told), told)
  })(call)
}

async function create(gateway: GatewayClient, { given, words, say }: Call): Promise<void> {
  const id = await kernelOf(gateway, given['--kernel'])
  const body = { op: 'create', name: words[0] ?? null, note: given['--note'] ?? null, exclude: given['--exclude'] }
  const progress = showProgress('Saving')
  const asked = gateway.ask('POST', `/api/kernels/${id}/checkpoints`, body, 0)
  const made = (await asked.finally(() => progress.end())) as CheckpointFacts
  const lost = made.lost.map(({ name, reason }) => `\n  lost: ${name}: ${reason}`).join('')
  const size = `${sizeText(made.checkpoint_size)} (${sizeText(made.written_bytes)} new)`
  say(`${made.checkpoint_id}  ${made.namespace_size} variables, ${size}${lost}`, made)
}

/** Into a kernel, or into a new one, whose id is the answer. */
async function restore(gateway: GatewayClient, { given, words, say }: Call): Promise<void> {
  const [checkpoint = ''] = words
  const named = given['--kernel']
  const progress = showProgress('Restoring')
  try {
    if (named === undefined) {
      const model = (await gateway.ask('POST', '/api/kernels', { savepoint: { checkpoint } }, 0)) as { id: string }
      progress.end()
      say(model.id, model)
      return
    }
    const id = await kernelId(gateway, named)
    const names = given['--only']?.split(',').map((name) => name.trim())
    const body = { checkpoint, mode: given['--merge'] ? 'merge' : 'clear', ...(names === undefined ? {} : { names }) }
    const told = await gateway.ask('POST', `/api/kernels/${id}/restore`, body, 0)
    progress.end()
    say(restoredLines(told as Parameters<typeof restoredLines>[0], id), told)
  } finally {
    progress.end()
  }
}

/** The file is there under its name when it is whole. */
async function exportFile(place: CheckpointPlace, { given, say }: Call, checkpoint: string): Promise<void> {
  const file = given['-o'] ?? `${checkpoint.replaceAll('/', '_')}.savepoint`
  const progress = showProgress('Exporting')
  let written = 0
  const passed = (bytes: number): void => progress.at((written = bytes))
  try {
    if (file === '-') {
      await place.export(checkpoint, process.stdout, passed)
      return
    }
    const draft = `${file}.${process.pid}.part`
    try {
      await place.export(checkpoint, fileAt(draft), passed)
      await rename(draft, file)
    } catch (error) {
      await rm(draft, { force: true })
      throw error instanceof SavepointError ? error : cannotWrite(file, error)
    }
  } finally {
    progress.end()
  }
  say(`${file}  ${sizeText(written)}`, { file, bytes: written })
}

function fileAt(path: string): Writable {
  return createWriteStream(path, { flags: 'wx', mode: 0o600 })
}

function cannotWrite(file: string, error: unknown): SavepointError {
  const reason = (error as NodeJS.ErrnoException).code ?? String(error)
  return new SavepointError('storage_failed', `${file} cannot be written (${reason}). Name another one with -o.`, {
    file,
    reason,
  })
}

async function importFile(place: CheckpointPlace, { given, say }: Call, file: string): Promise<void> {
  const progress = showProgress('Importing')
  const asked = place.import(file, given['--trust'] ?? null, progress.at)
  const made = await asked.finally(() => progress.end())
  say(listLine(made), made)
}

async function remove(place: CheckpointPlace, { say }: Call, checkpoint: string): Promise<void> {
  const { checkpoint_id } = await place.show(checkpoint).catch(() => ({ checkpoint_id: checkpoint }))
  await place.remove(checkpoint_id)
  say(`Deleted ${checkpoint_id}.`, { deleted: checkpoint_id })
}

/** The one that is named; without a name the only one that there is. Throws `unknown_kernel`, USAGE. */
async function kernelOf(gateway: GatewayClient, named: string | undefined): Promise<string> {
  if (named !== undefined) return await kernelId(gateway, named)
  const kernels = (await gateway.ask('GET', '/api/kernels')) as readonly { readonly id: string }[]
  const [only, other] = kernels
  if (only !== undefined && other === undefined) return only.id
  if (only === undefined) throw new SavepointError('unknown_kernel', 'The gateway has no kernel.')
  throw usage(`There are ${kernels.length} kernels. Say which one: --kernel ID`)
}
