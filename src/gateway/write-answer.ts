/** Answers on a connection that no request of the server's belongs to. */

import type { Duplex } from 'node:stream'
import { SECURITY_HEADERS } from './auth/headers.js'
import { reasonOf, type ErrorBody } from './http-errors.js'

/** Writes a whole answer, after which the connection ends. */
export function writeAnswer(
  socket: Duplex,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: ErrorBody,
): void {
  const bytes = Buffer.from(JSON.stringify(body))
  const all = {
    ...SECURITY_HEADERS,
    ...headers,
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(bytes.length),
    Connection: 'close',
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 ${status} ${reasonOf(status)}\r\n${lines.join('')}\r\n`), bytes]))
}
