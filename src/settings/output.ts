/** How output goes to clients. */

import { config } from '../config.js'
import { integer } from './kinds.js'
import type { SettingTable } from './setting.js'

export const outputSettings = {
  'output.merge_ms': {
    ...integer(config.streams.intervalMs, 0, 1_000),
    about: 'chunks of one stream within it become one message',
  },
  'output.merge_bytes_max': {
    ...integer(config.streams.bytesMax, 1_024, 16_777_216),
    about: 'a merged stream message of this size goes out at once',
  },
  'output.buffered_bytes_max': {
    ...integer(config.kernel.bufferedBytesMax, 0, 536_870_912),
    about: 'bytes that a cell of stream mode `buffered` gathers before some are sent',
  },
  'output.waiting_bytes_max': {
    ...integer(config.outboxBytesMax, 65_536, 4_294_967_296),
    about: 'bytes that wait for slow clients before the worker is held up; nothing is dropped',
  },
} as const satisfies SettingTable
