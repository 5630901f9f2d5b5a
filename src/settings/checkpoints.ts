/** What the store of checkpoints is told of the settings. */

import type { SettingValues } from '../settings.js'

/** Which automatic checkpoints are kept (null: all), and how many bytes one owner's may take (0: any number). */
export function checkpointRulesOf(values: SettingValues) {
  const keep = values['checkpoint.keep']
  return { keep: Object.keys(keep).length === 0 ? null : keep, bytesMax: values['checkpoint.max_bytes'] }
}

export type CheckpointRules = ReturnType<typeof checkpointRulesOf>
