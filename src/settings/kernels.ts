/** The kernels of a gateway. */

import { integer, list, onOff, optional, text } from './kinds.js'
import { secondsMax, type SettingTable } from './setting.js'

export const kernelsSettings = {
  'kernels.max': {
    ...optional(integer(0, 1, 1_000_000), 'any number'),
    flag: '--max-kernels',
    placeholder: 'N',
    about: 'kernels at a time, those included that are still starting',
  },
  'kernels.max_per_user': {
    ...optional(integer(0, 1, 1_000_000), 'any number'),
    about: 'kernels of one user at a time, those included that are still starting',
  },
  'kernels.root': {
    ...optional(text('', 'a path'), 'where `serve` was started'),
    about:
      'folder in which kernels work; paths of requests are below it; `{user}` in it stands for the name of the user',
  },
  'kernels.environment': {
    ...list('names, or beginnings such as APP_*'),
    about: 'variables that clients may set besides KERNEL_*',
  },
  'kernels.inherited_environment': {
    ...list('names, or beginnings such as APP_*'),
    about:
      "the gateway's own variables that kernels get, besides what every program needs; unless set: all but known secrets",
  },
  'kernels.cull_idle_timeout_s': {
    ...integer(0, 0, secondsMax),
    about: 'seconds after which a kernel that does nothing is ended; 0: never',
  },
  'kernels.cull_interval_s': { ...integer(300, 1, secondsMax), about: 'how often that is looked at' },
  'kernels.cull_connected': { ...onOff(false), about: 'whether kernels are ended that clients are connected to' },
  'kernels.cull_busy': { ...onOff(false), about: 'whether kernels are ended that are at work' },
} as const satisfies SettingTable
