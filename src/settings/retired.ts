/** Settings of earlier releases that set nothing any more, and what there is in their place. */

const JOURNAL = 'what sessions get again stands in the journal: journal.bytes_max, journal.total_bytes_max'

export const RETIRED_SETTINGS: Readonly<Record<string, string>> = {
  'websocket.kept_bytes_max': JOURNAL,
  'websocket.kept_messages_max': JOURNAL,
  'websocket.kept_total_bytes_max': JOURNAL,
  'websocket.journal_bytes_max': JOURNAL,
  'websocket.journal_messages_max': JOURNAL,
  'websocket.journal_total_bytes_max': JOURNAL,
}
