/** The log of what is observed: one line each, with the ids by which lines belong together. */

import type { Log, LogFields } from '../log.js'
import type { Asker, Observe, Observed } from '../observe.js'

/** Requests and cells at `debug`, since they are many; what somebody did to a kernel at `info`. */
export function observedLog(log: Log): Observe {
  return (facts) => {
    switch (facts.what) {
      case 'request': {
        const { method, route, kernel, status, code, ms } = facts
        const fields = { ...who(facts.asker), method, route, kernel: kernel ?? undefined, status, ms: rounded(ms) }
        log('debug', 'request', { ...fields, code: code ?? undefined })
        return
      }
      case 'kernel_started': {
        const { kernel, owner, spec, ms, code } = facts
        const fields = { ...who(facts.asker), kernel, owner, spec, ms: rounded(ms) }
        return code === null
          ? log('info', 'kernel_started', fields)
          : log('info', 'kernel_not_started', { ...fields, code })
      }
      case 'cell_asked': {
        const { kernel, owner, execution, session } = facts
        log('debug', 'cell_asked', { ...who(facts.asker), kernel, owner, execution, session })
        return
      }
      case 'cell_ended': {
        const { kernel, owner, execution, outcome, ename, waited_ms, ms } = facts
        const times = { waited_ms: rounded(waited_ms), ms: rounded(ms) }
        log('debug', 'cell_ended', { kernel, owner, execution, outcome, ename: ename ?? undefined, ...times })
        return
      }
      case 'op': {
        const { kernel, owner, target, op, by } = facts
        log('info', 'op', { ...who(facts.asker), kernel, owner, target, op, by })
        return
      }
      case 'interrupted':
      case 'kernel_ended':
      case 'forked':
      case 'taken_up': {
        log('info', facts.what, plain(facts))
        return
      }
      default:
    }
  }
}

/** Of what has no bytes in it. */
function plain(facts: Extract<Observed, { what: 'interrupted' | 'kernel_ended' | 'forked' | 'taken_up' }>): LogFields {
  const { what: _, ...rest } = facts
  const { asker = null, ...fields } = rest as typeof rest & { readonly asker?: Asker | null }
  return { ...who(asker), ...(fields as LogFields) }
}

function who(asker: Asker | null): LogFields {
  if (asker === null) return {}
  return { request: asker.request, subject: asker.subject, address: asker.address }
}

function rounded(ms: number | null): number | undefined {
  return ms === null ? undefined : Math.round(ms * 10) / 10
}
