/** The file in an instance's folder in which Jupyter's sessions outlive the gateway. */

import type { NotebookSession, SessionsFile } from '../gateway/sessions.js'
import type { Log } from '../log.js'
import { SESSIONS } from '../store/instances/inherit.js'
import type { Instance } from '../store/instances/instance.js'
import { readWhole, writeWhole } from '../store/instances/whole-file.js'

export function sessionsFileIn(instance: Instance, log: Log): SessionsFile {
  const path = instance.file(SESSIONS)
  return {
    read() {
      const found = readWhole(path)
      return Array.isArray(found) ? found.filter(isSession) : []
    },
    write(sessions) {
      try {
        writeWhole(path, sessions)
      } catch (error) {
        const reason = (error as NodeJS.ErrnoException).code ?? String(error)
        log('error', 'sessions_not_kept', { code: 'storage_failed', reason })
      }
    },
  }
}

function isSession(found: unknown): found is NotebookSession {
  const session = found as Partial<NotebookSession> | null
  const fields = [session?.id, session?.owner, session?.path, session?.name, session?.type, session?.kernelId]
  return fields.every((field) => typeof field === 'string')
}
