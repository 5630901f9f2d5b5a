/** Where a gateway's kernels keep what is to outlive its process. */

import { join } from 'node:path'
import { systemClock } from '../clock.js'
import type { JournalBudget } from '../host/journal/budget.js'
import { journalIn, journalInMemory } from '../host/journal/open.js'
import type { KernelsOptions } from '../host/kernels/kernels.js'
import { childLog, type Log } from '../log.js'
import type { Observe } from '../observe.js'
import type { SettingValues } from '../settings.js'
import type { Instance } from '../store/instances/instance.js'
import { Segments } from '../store/journal/segments.js'

type Keeping = NonNullable<KernelsOptions['keeping']>

/** A folder and a journal in it for each kernel. One whose folder cannot be read gets a journal that ends with the process. */
export function keepingIn(
  instance: Instance,
  values: SettingValues,
  budget: JournalBudget,
  log: Log,
  observe: Observe,
): Keeping {
  const bytesMax = values['journal.bytes_max']
  return (kernelId) => {
    const folder = instance.kernelFolder(kernelId)
    const logged = childLog(log, { kernel: kernelId })
    const report: Log = (level, event, fields = {}) => {
      logged(level, event, fields)
      const code = typeof fields['code'] === 'string' ? fields['code'] : null
      if (event === 'journal_failed') observe({ what: 'journal_failed', kernel: kernelId, code })
      if (event === 'journal_written_again') observe({ what: 'journal_recovered', kernel: kernelId, code })
    }
    try {
      const segments = new Segments(join(folder, 'journal'), () => systemClock.date().getTime())
      return { folder, journal: journalIn(segments, { clock: systemClock, report, bytesMax, budget }) }
    } catch (error) {
      report('error', 'journal_unreadable', { reason: error instanceof Error ? error.message : String(error) })
      return { folder, journal: journalInMemory(systemClock, report) }
    }
  }
}
