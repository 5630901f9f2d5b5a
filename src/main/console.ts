/**
 * `savepoint console [ID]`: Jupyter's console on a kernel of the gateway, which others may be using at the same time.
 *
 * The gateway opens ZeroMQ channels for the kernel, and the user's own `jupyter console` joins by their connection file.
 */

import { spawn } from 'node:child_process'
import { SavepointError } from '../errors.js'
import { parseFlags, usage } from './flags.js'
import { CLIENT_FLAGS, gatewayOf } from './gateway-client.js'
import { kernelId } from './kernels.js'
import { EXIT } from './report.js'

const FLAGS = { ...CLIENT_FLAGS, '--name': 'value' } as const

/** Throws USAGE, `not_available` where there is no console, and what the gateway refuses. */
export async function runConsole(args: readonly string[]): Promise<number> {
  const { given, rest } = parseFlags(args, FLAGS, { keepRest: true })
  const [beginning, more] = rest
  const odd = more ?? (beginning?.startsWith('-') ? beginning : undefined)
  if (odd !== undefined) throw usage(`Nothing is expected here: ${odd}`)
  const gateway = gatewayOf(given)
  try {
    const name = given['--name']
    const id =
      beginning === undefined
        ? ((await gateway.ask('POST', '/api/kernels', name === undefined ? {} : { name })) as { id: string }).id
        : await kernelId(gateway, beginning)
    const opened = await gateway.ask('PUT', `/api/kernels/${id}/connection`, {})
    const { connection_file: file } = opened as { connection_file: string }
    if (beginning === undefined) {
      process.stderr.write(
        `Kernel ${id}. It goes on after the console; end it with: savepoint kernels shutdown ${id}\n`,
      )
    }
    return await runJupyter(file)
  } finally {
    gateway.close()
  }
}

/** Exit code of the console. */
function runJupyter(file: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const console = spawn('jupyter', ['console', '--existing', file], { stdio: 'inherit' })
    // Ctrl-C is for the cell, and reaches the console from the terminal.
    const ignore = (): void => {}
    process.on('SIGINT', ignore)
    console.on('error', (error: NodeJS.ErrnoException) => {
      process.off('SIGINT', ignore)
      reject(noConsole(file, error.code ?? error.message))
    })
    console.on('close', (code, signal) => {
      process.off('SIGINT', ignore)
      // `jupyter` itself is there, and says that it knows no such command.
      if (code === EXIT.failed) process.stderr.write(`${remedy(file)}\n`)
      resolve(code ?? (signal === 'SIGINT' ? EXIT.interrupted : EXIT.failed))
    })
  })
}

function noConsole(file: string, reason: string): SavepointError {
  return new SavepointError('not_available', `jupyter console cannot be started (${reason}). ${remedy(file)}`, {
    reason,
  })
}

function remedy(file: string): string {
  return `Install it with "pip install jupyter-console"; any client that takes a connection file can join: ${file}`
}
