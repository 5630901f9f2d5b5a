/** The gateway's socket, and what it takes from it. */

import { integer, list, optional, text } from './kinds.js'
import type { SettingTable } from './setting.js'

export const serverSettings = {
  'server.ip': {
    ...text('127.0.0.1', 'an address of this machine'),
    flag: '--ip',
    placeholder: 'A',
    about: 'where the gateway listens',
  },
  'server.port': {
    ...integer(8890, 0, 65_535),
    flag: '--port',
    placeholder: 'N',
    about: 'its port; 0: one that is free',
  },
  'server.base_url': {
    ...text('/', 'a path'),
    flag: '--base-url',
    placeholder: 'P',
    about: 'what all its paths begin with, for a proxy in front',
  },
  'server.allow_origin': {
    ...list('origins such as https://lab.example, or *'),
    flag: '--allow-origin',
    placeholder: 'O',
    about: 'pages that may use the gateway besides its own',
  },
  'server.hosts': { ...list('names of hosts'), about: 'names by which it may be called besides localhost' },
  'server.trusted_proxies': { ...list('addresses or networks'), about: 'proxies whose X-Forwarded-For is believed' },
  'server.certfile': {
    ...optional(text('', 'a path'), 'no TLS'),
    flag: '--certfile',
    placeholder: 'F',
    about: 'certificate, PEM; read again on SIGHUP',
  },
  'server.keyfile': {
    ...optional(text('', 'a path'), 'no TLS'),
    flag: '--keyfile',
    placeholder: 'F',
    about: 'its key, PEM',
  },
  'server.client_ca': {
    ...optional(text('', 'a path'), 'none is asked for'),
    flag: '--client-ca',
    placeholder: 'F',
    about: 'clients must show a certificate that one of these signed',
  },
  'server.body_bytes_max': { ...integer(16_777_216, 1_024, 536_870_912), about: 'bytes of the body of a request' },
  'server.message_bytes_max': {
    ...integer(134_217_728, 65_536, 536_870_912),
    about: 'bytes of a message that a client sends over a WebSocket',
  },
  'server.headers_timeout_s': { ...integer(20, 1, 3_600), about: "how long a request's headers may take to come" },
  'server.request_timeout_s': { ...integer(120, 1, 86_400), about: 'how long all of a request may take to come' },
  'server.keep_alive_s': { ...integer(75, 1, 3_600), about: 'how long an idle connection is kept' },
  'server.connections_per_address_max': {
    ...integer(0, 0, 1_000_000),
    about: 'connections of one address at a time; 0: as many as come',
  },
} as const satisfies SettingTable
