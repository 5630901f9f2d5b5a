/** What the settings say of recording the effects of transactions. */

import type { RecordingBounds } from '../link/protocol.js'
import type { SettingValues } from '../settings.js'

/** Null: nothing is recorded. */
export function recordingOf(values: SettingValues): RecordingBounds | null {
  if (!values['transactions.effects']) return null
  return {
    file_bytes_max: values['transactions.file_bytes_max'],
    bytes_max: values['transactions.copied_bytes_max'],
    end_processes: values['transactions.end_processes'],
  }
}
