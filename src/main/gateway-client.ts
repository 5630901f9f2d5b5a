/** The commands' side of a gateway's REST API: which gateway, with which token, and what its refusals mean. */

import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as SecureAgent, request as httpsRequest } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { resolveSettings } from '../config.js'
import { PUBLIC_CODES, SavepointError, type PublicCode } from '../errors.js'
import { usage } from './flags.js'
import { readRecord } from './gateway-record.js'
import { keptToken } from './token-file.js'

/** Flags of every command that speaks to a gateway. */
export const CLIENT_FLAGS = { '--url': 'value', '--token': 'value', '--data-dir': 'value' } as const

export interface ClientFlags {
  readonly '--url': string | undefined
  readonly '--token': string | undefined
  readonly '--data-dir': string | undefined
}

/** How long an answer may take whose request says nothing else. */
const ANSWER_MS = 120_000

/** A gateway, and the right to speak to it. */
export class GatewayClient {
  readonly url: string
  readonly #token: string | null
  readonly #isGuess: boolean
  readonly #agent: Agent

  /** `isGuess`: nobody gave the token; it is the data folder's, which need not be this gateway's. */
  constructor(url: string, token: string | null, isGuess = false) {
    this.url = url.replace(/\/+$/, '')
    this.#token = token
    this.#isGuess = isGuess
    this.#agent = this.url.startsWith('https:') ? new SecureAgent({ keepAlive: true }) : new Agent({ keepAlive: true })
  }

  /** The answer's JSON. Throws what the gateway refused, as a SavepointError of the same code; `not_found` if there is none. */
  async ask(method: string, path: string, body?: object | Readable, timeoutMs: number = ANSWER_MS): Promise<unknown> {
    return await this.#read(await this.open(method, path, body, {}, timeoutMs))
  }

  /** The answer's bytes, as they come. Throws as `ask` does. */
  async download(path: string): Promise<IncomingMessage> {
    const answer = await this.open('GET', path, undefined)
    if ((answer.statusCode ?? 500) >= 400) await this.#read(answer)
    return answer
  }

  async #read(answer: IncomingMessage): Promise<unknown> {
    const text = await textOf(answer)
    const value = parsed(text)
    if (answer.statusCode === 401 && this.#isGuess) throw ownTokenNeeded(this.url)
    if ((answer.statusCode ?? 500) >= 400) throw refusalOf(answer.statusCode ?? 500, value)
    return value
  }

  /** The answer, not read yet. A stream is sent as it comes. Throws `not_found` if nobody listens, `timeout`. */
  open(
    method: string,
    path: string,
    body: object | Readable | undefined,
    headers: Readonly<Record<string, string>> = {},
    timeoutMs: number = ANSWER_MS,
  ): Promise<IncomingMessage> {
    const send = this.url.startsWith('https:') ? httpsRequest : httpRequest
    const authorization = this.#token === null ? {} : { authorization: `token ${this.#token}` }
    const type = body instanceof Readable ? 'application/vnd.savepoint.checkpoint' : 'application/json'
    const all = { ...authorization, 'content-type': type, ...headers }
    return new Promise((resolve, reject) => {
      const sent = send(`${this.url}${path}`, { method, headers: all, agent: this.#agent }, resolve)
      if (timeoutMs > 0) {
        sent.setTimeout(timeoutMs, () => {
          sent.destroy()
          reject(new SavepointError('timeout', `The gateway at ${this.url} did not answer in ${timeoutMs / 1000} s.`))
        })
      }
      sent.on('error', (error: NodeJS.ErrnoException) => reject(unreachableAt(this.url, error)))
      // An upload may be refused before its end: the answer counts then, and the error of the request is told above.
      if (body instanceof Readable) pipeline(body, sent).catch((error: Error) => sent.destroy(error))
      else sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** The gateway that flags name, else that of the data folder. Throws `not_found`, USAGE. */
export function gatewayOf(flags: ClientFlags): GatewayClient {
  const { dataDir } = resolveSettings(flags['--data-dir'] === undefined ? {} : { dataDir: flags['--data-dir'] })
  const given = flags['--token'] ?? process.env['SAVEPOINT_TOKEN']
  const token = given ?? keptToken(dataDir)
  const url = flags['--url'] ?? urlOf(dataDir)
  if (!/^https?:\/\/[^/]/.test(url)) throw usage('--url is an address such as http://127.0.0.1:8890.')
  return new GatewayClient(url, token === '' ? null : token, given === undefined)
}

function ownTokenNeeded(url: string): SavepointError {
  return new SavepointError(
    'unauthorized',
    `The gateway at ${url} does not take the token of the data folder: it was started with one of its own. Give that with --token T, or in SAVEPOINT_TOKEN.`,
    { url },
  )
}

function urlOf(dataDir: string): string {
  const found = readRecord(dataDir)
  if (found?.alive) return found.record.url
  const was = found ? ` The one of process ${found.record.pid} has ended without a word.` : ''
  throw new SavepointError(
    'not_found',
    `No gateway is running with the data folder ${dataDir}.${was} Start one with "savepoint serve", or name one with --url.`,
    { data_dir: dataDir },
  )
}

function unreachableAt(url: string, error: NodeJS.ErrnoException): SavepointError {
  const reason = error.code ?? error.message
  return new SavepointError('not_found', `No gateway answers at ${url} (${reason}). Is it running?`, { url, reason })
}

function refusalOf(status: number, value: unknown): SavepointError {
  const { code, message, details } = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >
  const text = typeof message === 'string' && message !== '' ? message : `The gateway answered with status ${status}.`
  const known = PUBLIC_CODES.find((each) => each === code) ?? codeOf(status)
  return new SavepointError(known, text, typeof details === 'object' && details !== null ? { ...details } : {})
}

/** For what is no gateway of ours. */
function codeOf(status: number): PublicCode {
  if (status === 401) return 'unauthorized'
  if (status === 403) return 'forbidden'
  return status === 404 ? 'not_found' : 'internal'
}

export async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
