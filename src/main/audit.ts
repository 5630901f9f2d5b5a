/**
 * The audit log: who did what to which kernel, when, and from where; one line of JSON each.
 *
 * A line stands in the file before the gateway goes on. One that cannot be written is told in the log once, counted,
 * and followed by a line `lost` as soon as there is room again: the gateway serves on.
 */

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Log } from '../log.js'
import type { Asker, Observe, Observed } from '../observe.js'
import type { SettingValues } from '../settings.js'
import { AuditFile } from '../store/audit/audit-file.js'

/** Ops that only look. */
const LOOKING: ReadonlySet<string> = new Set(['status', 'list', 'get', 'snapshots', 'validate', 'diff'])
/** Calls of the store that people ask for, and what they are called here. */
const CALLS: Readonly<Record<string, string>> = {
  seal_checkpoint: 'checkpoint',
  open_checkpoint: 'restore',
  delete_checkpoint: 'delete_checkpoint',
  export_checkpoint: 'export_checkpoint',
  import_checkpoint: 'import_checkpoint',
}
/** Requests that take something away with them although they change nothing. */
const TAKING = /\/data$/
const REFUSED: ReadonlySet<number> = new Set([401, 403, 429])

export interface Audit {
  readonly observe: Observe
  close(): void
}

/** Null unless `audit.enabled`. `onLost`: called for each line that could not be written. */
export function openAudit(
  values: SettingValues,
  dataDir: string,
  log: Log,
  onLost: () => void,
  now = (): Date => new Date(),
): Audit | null {
  if (!values['audit.enabled']) return null
  const limits = { fileBytesMax: values['audit.file_bytes_max'], filesMax: values['audit.files_max'] }
  const file = new AuditFile(join(dataDir, 'audit'), limits, now)
  let losing = 0
  const write = (entry: object): void => {
    const at = now().toISOString()
    try {
      if (losing > 0) file.add(JSON.stringify({ at, action: 'lost', lines: losing }))
      if (losing > 0) log('info', 'audit_recovered', { lost: losing })
      losing = 0
      file.add(JSON.stringify({ at, ...entry }))
    } catch (error) {
      onLost()
      losing += 1
      const reason = error instanceof Error ? error.message : String(error)
      if (losing === 1) log('error', 'audit_failed', { code: 'storage_failed', reason })
    }
  }
  return {
    observe(facts) {
      const entry = entryOf(facts, values['audit.code'])
      if (entry !== null) write(entry)
    },
    close: () => file.close(),
  }
}

/** Null: nothing that anybody has to answer for. */
function entryOf(facts: Observed, withCode: boolean): object | null {
  switch (facts.what) {
    case 'request': {
      const { method, route, kernel, status, code } = facts
      if (REFUSED.has(status)) return { action: 'refused', ...by(facts.asker), method, route, kernel, status, code }
      if ((method === 'GET' && !TAKING.test(route)) || method === 'HEAD' || method === 'OPTIONS') return null
      return { action: 'request', ...by(facts.asker), method, route, kernel, target: facts.target, status, code }
    }
    case 'connected':
    case 'disconnected': {
      const { what, asker, kernel, owner, session } = facts
      return { action: what, ...by(asker), kernel, owner, session }
    }
    case 'kernel_started': {
      const { asker, kernel, owner, spec, code } = facts
      return { action: 'start', ...by(asker), kernel, owner, spec, code }
    }
    case 'kernel_ended':
      return { action: 'end', kernel: facts.kernel, owner: facts.owner }
    case 'cell_asked': {
      const { asker, kernel, owner, execution, session, client, content } = facts
      return {
        action: 'execute',
        ...by(asker),
        kernel,
        owner,
        execution,
        session,
        client,
        ...codeIn(content, withCode),
      }
    }
    case 'cell_ended': {
      const { kernel, owner, execution, outcome, transaction } = facts
      return { action: 'executed', kernel, owner, execution, outcome, transaction }
    }
    case 'interrupted': {
      const { asker, kernel, owner, client } = facts
      return { action: 'interrupt', ...by(asker), kernel, owner, client }
    }
    case 'op': {
      const { asker, kernel, owner, target, op, by: whom } = facts
      return LOOKING.has(op) ? null : { action: 'op', ...by(asker), kernel, owner, target, op, by: whom }
    }
    case 'forked': {
      const { kernel, owner, kernels, code } = facts
      return { action: 'fork', kernel, owner, kernels, code }
    }
    case 'stored': {
      const { call, kernel, owner, checkpoint, execution, code } = facts
      const action = CALLS[call]
      return action === undefined ? null : { action, kernel, owner, checkpoint, execution, code }
    }
    case 'worker_died': {
      const { kernel, owner, cause, exit_code, why } = facts
      return { action: 'died', kernel, owner, cause, exit_code, why }
    }
    case 'taken_up': {
      const { kernel, owner, outcome } = facts
      return { action: 'taken_up', kernel, owner, outcome }
    }
    default:
      return null
  }
}

function by(asker: Asker | null): object {
  if (asker === null) return {}
  const { subject, address, request } = asker
  return { subject, address, request }
}

/** The digest of the code as UTF-8, and the code itself if it is wanted. A request without code is refused later on. */
function codeIn(content: Buffer, withCode: boolean): object {
  try {
    const { code } = JSON.parse(content.toString()) as { code?: unknown }
    if (typeof code !== 'string') return {}
    const code_sha256 = createHash('sha256').update(code).digest('hex')
    return withCode ? { code_sha256, code } : { code_sha256 }
  } catch {
    return {}
  }
}
