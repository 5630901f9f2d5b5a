/** `savepoint snapshots`: the frozen copies of a gateway's kernel, from the command line. */

import { parseFlags, usage } from './flags.js'
import { CLIENT_FLAGS, gatewayOf } from './gateway-client.js'
import { kernelId } from './kernels.js'
import { EXIT } from './report.js'

const FLAGS = { ...CLIENT_FLAGS, '--json': 'switch' } as const

interface Snapshots {
  readonly items: readonly {
    readonly id: string
    readonly kind: string
    readonly name: string | null
    readonly execution_count: number
    readonly created_at: string
    readonly private_bytes: number | null
  }[]
}

/** Throws USAGE, and what the gateway refuses. */
export async function runSnapshots(args: readonly string[]): Promise<number> {
  const { given, rest } = parseFlags(args, FLAGS, { keepRest: true })
  const [verb, id, ...more] = rest
  if (verb !== 'list') throw usage('The only thing to do with snapshots is: snapshots list KERNEL.')
  if (id === undefined || id.startsWith('-')) throw usage('Give the id of a kernel, or its beginning.')
  if (more[0] !== undefined) throw usage(`Nothing is expected here: ${more[0]}`)
  const gateway = gatewayOf(given)
  try {
    const found = (await gateway.ask('GET', `/api/kernels/${await kernelId(gateway, id)}/snapshots`)) as Snapshots
    const text = given['--json'] ? JSON.stringify(found) : found.items.map(line).join('\n')
    if (text !== '') process.stdout.write(`${text}\n`)
    return EXIT.done
  } finally {
    gateway.close()
  }
}

function line({ id, kind, name, execution_count, created_at, private_bytes }: Snapshots['items'][number]): string {
  const size = private_bytes === null ? '' : `${(private_bytes / 1e6).toFixed(1)} MB`
  return `${id.padEnd(8)}  ${kind.padEnd(9)}  after cell ${execution_count}  ${created_at}  ${size}  ${name ?? ''}`.trimEnd()
}
