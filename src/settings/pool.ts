/** Workers that wait for kernels. */

import { integer, list } from './kinds.js'
import { secondsMax, type SettingTable } from './setting.js'

export const poolSettings = {
  'pool.size': {
    ...integer(2, 0, 1_000),
    flag: '--pool-size',
    placeholder: 'N',
    about: 'workers that wait ready for the next kernels',
  },
  'pool.preload': {
    ...list('names of modules'),
    flag: '--preload',
    placeholder: 'A,B',
    about: 'modules that are imported before workers are forked',
  },
  'pool.affinity_s': {
    ...integer(300, 0, secondsMax),
    about: 'how long a kernel that was started with `savepoint.lease.client`, and shut down, waits for the same client',
  },
} as const satisfies SettingTable
