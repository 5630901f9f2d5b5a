/** Clients' WebSockets. */

import { integer } from './kinds.js'
import { secondsMax, type SettingTable } from './setting.js'

export const websocketSettings = {
  'websocket.ping_s': { ...integer(30, 0, 86_400), about: 'how often a client is pinged; 0: never' },
  'websocket.messages_per_s': {
    ...integer(0, 0, 1_000_000),
    about: 'messages of one client that are read a second, on an average over ten; 0: no bound',
  },
  'websocket.waiting_bytes_max': {
    ...integer(8_388_608, 1_048_576, 4_294_967_296),
    about: 'bytes that wait in memory for a client that reads slowly; the rest it gets from the journal',
  },
  'websocket.kept_s': {
    ...integer(3_600, 0, secondsMax),
    about: 'how long it is remembered what a session has had whose connection has ended',
  },
  'websocket.kept_sessions_max': { ...integer(64, 0, 100_000), about: 'sessions of one kernel that are waited for' },
} as const satisfies SettingTable
