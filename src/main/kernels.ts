/** `savepoint kernels`: the kernels of a gateway, from the command line. */

import { SavepointError } from '../errors.js'
import { parseFlags, usage } from './flags.js'
import { CLIENT_FLAGS, gatewayOf, type GatewayClient } from './gateway-client.js'
import { EXIT } from './report.js'

const FLAGS = { ...CLIENT_FLAGS, '--json': 'switch', '--name': 'value', '--count': 'value' } as const

interface KernelModel {
  readonly id: string
  readonly name: string
  readonly execution_state: string
  readonly last_activity: string
  readonly connections: number
}

interface Call {
  readonly gateway: GatewayClient
  /** null: none was given. */
  readonly id: string | null
  readonly name: string | null
  /** How many forks. */
  readonly count: number
  /** Text for a person, and the same for a program. */
  readonly say: (text: string, value: unknown) => void
}

type Action = (call: Call) => Promise<void>

const ACTIONS: Readonly<Record<string, { readonly run: Action; readonly needsId: boolean }>> = {
  list: { run: list, needsId: false },
  show: { run: show, needsId: true },
  start: { run: start, needsId: false },
  interrupt: { run: post('interrupt', 'Interrupted'), needsId: true },
  restart: { run: post('restart', 'Restarted'), needsId: true },
  shutdown: { run: shutdown, needsId: true },
  fork: { run: fork, needsId: true },
  connect: { run: connect, needsId: true },
}

/** Throws USAGE, and what the gateway refuses. */
export async function runKernels(args: readonly string[]): Promise<number> {
  const { given, rest } = parseFlags(args, FLAGS, { keepRest: true })
  const [verb = '', id = null, ...more] = rest
  const action = Object.hasOwn(ACTIONS, verb) ? ACTIONS[verb] : undefined
  if (!action) throw usage(`Say what to do with kernels: ${Object.keys(ACTIONS).join(', ')}.`)
  const odd = more[0] ?? (id?.startsWith('-') || (id !== null && !action.needsId) ? id : undefined)
  if (odd !== undefined) throw usage(`Nothing is expected here: ${odd}`)
  if (id === null && action.needsId) throw usage(`Give the id of a kernel, or its beginning: kernels ${verb} ID`)
  const count = given['--count'] ?? '1'
  if (!/^[1-9]\d*$/.test(count)) throw usage('--count is a whole number: how many kernels.')
  if (given['--count'] !== undefined && verb !== 'fork')
    throw usage('--count goes with fork: kernels fork ID --count N')
  const gateway = gatewayOf(given)
  const say: Call['say'] = (text, value) => {
    process.stdout.write(given['--json'] ? `${JSON.stringify(value)}\n` : text === '' ? '' : `${text}\n`)
  }
  try {
    await action.run({ gateway, id, name: given['--name'] ?? null, count: Number(count), say })
    return EXIT.done
  } finally {
    gateway.close()
  }
}

/** The id that begins so, if there is only one. Throws `unknown_kernel`, `bad_request`. */
export async function kernelId(gateway: GatewayClient, beginning: string): Promise<string> {
  const kernels = await all(gateway)
  if (kernels.some(({ id }) => id === beginning)) return beginning
  const [one, ...others] = kernels.filter(({ id }) => id.startsWith(beginning)).map(({ id }) => id)
  if (one === undefined) {
    throw new SavepointError('unknown_kernel', `There is no kernel ${beginning}. See: savepoint kernels list`)
  }
  if (others.length === 0) return one
  const ids = [one, ...others].join(', ')
  throw new SavepointError(
    'bad_request',
    `${others.length + 1} kernels begin with ${beginning}: ${ids}. Give more of it.`,
  )
}

async function all(gateway: GatewayClient): Promise<readonly KernelModel[]> {
  return (await gateway.ask('GET', '/api/kernels')) as KernelModel[]
}

async function list({ gateway, say }: Call): Promise<void> {
  const items = await all(gateway)
  say(items.map(line).join('\n'), { items, total_count: items.length })
}

function line({ id, name, execution_state, last_activity, connections }: KernelModel): string {
  const clients = `${connections} ${connections === 1 ? 'client' : 'clients'}`
  return `${id}  ${name}  ${execution_state.padEnd(8)}  ${clients}  last active ${last_activity}`
}

async function show({ gateway, id, say }: Call): Promise<void> {
  const model = await gateway.ask('GET', `/api/kernels/${await kernelId(gateway, id ?? '')}`)
  say(JSON.stringify(model, null, 2), model)
}

async function start({ gateway, name, say }: Call): Promise<void> {
  const model = (await gateway.ask('POST', '/api/kernels', name === null ? {} : { name })) as KernelModel
  say(model.id, model)
}

function post(verb: string, done: string): Action {
  return async ({ gateway, id, say }) => {
    const whole = await kernelId(gateway, id ?? '')
    const answer = await gateway.ask('POST', `/api/kernels/${whole}/${verb}`, {})
    say(`${done} ${whole}.`, answer ?? { id: whole })
  }
}

async function shutdown({ gateway, id, say }: Call): Promise<void> {
  const whole = await kernelId(gateway, id ?? '')
  await gateway.ask('DELETE', `/api/kernels/${whole}`)
  say(`Ended ${whole}.`, { id: whole })
}

async function fork({ gateway, id, count, say }: Call): Promise<void> {
  const whole = await kernelId(gateway, id ?? '')
  const { kernels } = (await gateway.ask('POST', `/api/kernels/${whole}/fork`, { count })) as {
    readonly kernels: readonly KernelModel[]
  }
  say(kernels.map((each) => each.id).join('\n'), { items: kernels, total_count: kernels.length })
}

async function connect({ gateway, id, say }: Call): Promise<void> {
  const whole = await kernelId(gateway, id ?? '')
  const connection = await gateway.ask('PUT', `/api/kernels/${whole}/connection`, {})
  const { connection_file: file } = connection as { connection_file: string }
  say(`${file}\nFor example: jupyter console --existing ${file}`, connection)
}
