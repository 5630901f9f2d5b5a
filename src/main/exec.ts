/**
 * `savepoint exec`: runs code in a kernel of the gateway, as if it ran here: output as it comes, `input()` asked at the
 * terminal, Ctrl-C interrupts, the exit code tells how it ended.
 */

import { readFile } from 'node:fs/promises'
import { SavepointError } from '../errors.js'
import { deadlineWarning } from '../kernel/deadlines.js'
import { readEvents, type ServerEvent } from './event-reader.js'
import { parseFlags, usage } from './flags.js'
import { CLIENT_FLAGS, gatewayOf, type GatewayClient } from './gateway-client.js'
import { kernelId } from './kernels.js'
import { EXIT, reportFailure } from './report.js'
import { openTerminal, type Terminal } from './terminal.js'

const FLAGS = {
  ...CLIENT_FLAGS,
  '-c': 'value',
  '--kernel': 'value',
  '--name': 'value',
  '--policy': 'value',
  '--timeout': 'value',
  '--json': 'switch',
} as const

type Content = Readonly<Record<string, unknown>>

/** Throws USAGE, and what the gateway refuses. */
export async function runExec(args: readonly string[]): Promise<number> {
  const { given, rest } = parseFlags(codeAsValue(args), FLAGS, { keepRest: true })
  const [file, more] = rest
  const odd = more ?? (file?.startsWith('-') && file !== '-' ? file : undefined)
  if (odd !== undefined) throw usage(`Nothing is expected here: ${odd}`)
  if ((given['-c'] === undefined) === (file === undefined)) throw usage('Give code with -c, or one FILE (- is stdin).')
  const timeoutS = given['--timeout'] === undefined ? null : Number(given['--timeout'])
  if (timeoutS !== null && !(timeoutS > 0)) throw usage('--timeout is a number of seconds above 0.')
  const code = given['-c'] ?? (await readCode(file ?? '-'))
  const gateway = gatewayOf(given)
  // A kernel that was asked for has to be ended, whatever comes in between.
  const interrupts = listenToInterrupts()
  try {
    const named = given['--kernel']
    const id = named === undefined ? await startKernel(gateway, given['--name']) : await kernelId(gateway, named)
    const body = {
      code,
      allow_stdin: true,
      ...(given['--policy'] === undefined ? {} : { transaction: given['--policy'] }),
      ...(timeoutS === null ? {} : { timeout_s: timeoutS }),
    }
    try {
      return await run({ gateway, interrupts, timeoutS }, `/api/kernels/${id}/executions`, body, given['--json'])
    } finally {
      if (named === undefined) await gateway.ask('DELETE', `/api/kernels/${id}`)
    }
  } finally {
    interrupts.stop()
    gateway.close()
  }
}

/** Code may begin with a dash, which no other value may. */
function codeAsValue(args: readonly string[]): readonly string[] {
  const at = args.indexOf('-c')
  const code = args[at + 1]
  return at < 0 || code === undefined ? args : [...args.slice(0, at), `-c=${code}`, ...args.slice(at + 2)]
}

async function readCode(file: string): Promise<string> {
  if (file !== '-') {
    return await readFile(file, 'utf8').catch((error: unknown) => {
      const reason = (error as NodeJS.ErrnoException).code ?? String(error)
      throw new SavepointError('not_found', `The file ${file} cannot be read (${reason}).`, { file, reason })
    })
  }
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

async function startKernel(gateway: GatewayClient, name: string | undefined): Promise<string> {
  return ((await gateway.ask('POST', '/api/kernels', name === undefined ? {} : { name })) as { id: string }).id
}

interface Running {
  readonly gateway: GatewayClient
  /** Of the execution. */
  readonly path: string
  readonly terminal: Terminal
}

async function run(
  { gateway, interrupts, timeoutS }: { gateway: GatewayClient; interrupts: Interrupts; timeoutS: number | null },
  runs: string,
  body: object,
  asJson: boolean,
): Promise<number> {
  if (interrupts.count > 0) return EXIT.interrupted
  const terminal = openTerminal()
  try {
    const { id } = (await gateway.ask('POST', `${runs}?wait_s=0`, body)) as { id: string }
    const path = `${runs}/${id}`
    interrupts.first(() => void gateway.ask('DELETE', path).catch(reportFailure))
    await follow({ gateway, path, terminal }, asJson)
    const execution = (await gateway.ask('GET', path)) as Content
    if (asJson) process.stdout.write(`${JSON.stringify(execution)}\n`)
    return exitOf(execution, interrupts.count > 0, timeoutS)
  } finally {
    terminal.close()
  }
}

interface Interrupts {
  readonly count: number
  /** What the first one does, also if it has come already. */
  first(act: () => void): void
  stop(): void
}

/** The second time nobody waits any more for code that takes no interrupt. */
function listenToInterrupts(): Interrupts {
  let count = 0
  let act: () => void = () => {}
  const onInterrupt = (): void => {
    count += 1
    if (count > 1) process.exit(EXIT.interrupted)
    act()
  }
  process.on('SIGINT', onInterrupt)
  return {
    get count() {
      return count
    },
    first(wanted) {
      act = wanted
      if (count > 0) wanted()
    },
    stop: () => void process.off('SIGINT', onInterrupt),
  }
}

/** How often events are asked for again without one more having come. */
const ATTEMPTS_MAX = 3
/** After which a connection counts as cut: the gateway gives a sign of life every 15 s. */
const SILENCE_MS = 60_000

/** Until the execution has ended. A connection may be cut: the events go on where they ended. */
async function follow(running: Running, asJson: boolean): Promise<void> {
  let lastId = 0
  for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts += 1) {
    const headers = { 'last-event-id': String(lastId) }
    const answer = await running.gateway.open('GET', `${running.path}/events`, undefined, headers, SILENCE_MS)
    for await (const event of readEvents(answer)) {
      attempts = 0
      lastId = event.id
      if (event.event === 'end') return
      if (!asJson || event.event === 'input_request') show(event, running)
    }
  }
  throw new SavepointError('timeout', 'The gateway ended the events of the execution, again and again.')
}

function exitOf(execution: Content, interrupted: boolean, timeoutS: number | null): number {
  const { status, error, savepoint } = execution
  if (status === 'ok') return EXIT.done
  if (interrupted || status === 'cancelled') return EXIT.interrupted
  const warnings = (savepoint as { warnings?: unknown } | null)?.warnings
  if (timeoutS !== null && Array.isArray(warnings) && warnings.includes(deadlineWarning(timeoutS))) {
    process.stderr.write(`savepoint: ${deadlineWarning(timeoutS)}\n`)
    return EXIT.deadline
  }
  const evalue = (error as { evalue?: unknown } | null)?.evalue
  if (status === 'aborted') process.stderr.write(`savepoint: The code was not run: ${textOf(evalue)}\n`)
  return EXIT.failed
}

function show({ event, data }: ServerEvent, running: Running): void {
  if (event === 'stream') {
    const stream = data['name'] === 'stderr' ? process.stderr : process.stdout
    stream.write(textOf(data['text']))
  } else if (event === 'display_data' || event === 'execute_result' || event === 'update_display_data') {
    const text = (data['data'] as Content | undefined)?.['text/plain']
    if (text !== undefined) process.stdout.write(`${textOf(text)}\n`)
  } else if (event === 'error') {
    const lines = Array.isArray(data['traceback']) ? data['traceback'].map(String) : []
    const text = lines.length > 0 ? lines.join('\n') : `${textOf(data['ename'])}: ${textOf(data['evalue'])}`
    process.stderr.write(`${process.stderr.isTTY ? text : withoutColours(text)}\n`)
  } else if (event === 'input_request') {
    // The code may be interrupted, or end, before there is an answer.
    answer(data, running).catch((error: unknown) => {
      if (!(error instanceof SavepointError && error.code === 'already_settled')) reportFailure(error)
    })
  } else if (event === 'snapshot') {
    process.stderr.write(
      'savepoint: Some output came faster than it could be read; what follows is all that is kept.\n',
    )
    process.stdout.write(textOf(data['stdout']))
  }
}

/** The end of the input is what Ctrl-D is to Python: EOFError. */
const END_OF_INPUT = '\u0004'

async function answer(data: Content, { gateway, path, terminal }: Running): Promise<void> {
  const value = await terminal.ask(textOf(data['prompt']), data['password'] === true)
  if (value === undefined) return
  await gateway.ask('POST', `${path}/input`, { value: value ?? END_OF_INPUT })
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** ESC [ ... m */
const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g')

function withoutColours(text: string): string {
  return text.replaceAll(COLOUR, '')
}
