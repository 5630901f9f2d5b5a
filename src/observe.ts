/**
 * What happens in a gateway, told as facts to whoever watches: metrics, the log, the audit log, traces.
 *
 * Whoever does something tells it once, here; who watches is decided in `main`. Nothing of it changes what is done, and
 * a watcher that fails does not fail what it watches (`toAll`). Facts hold ids and figures, never what a client sent;
 * the one exception is the code of a cell, as bytes that only the audit log reads, to name it by its digest.
 */

import { AsyncLocalStorage } from 'node:async_hooks'

/** Who asks for something over HTTP, and from where. */
export interface Asker {
  /** Tells requests apart whose clients gave them the same id. */
  readonly serial: number
  /** Id of the request: the client's own (`X-Request-Id`), else ours. */
  readonly request: string
  /** `traceparent` as of W3C Trace Context, checked; null: the client traces nothing. */
  readonly traceparent: string | null
  /** Subject of the token; empty: none was needed, or it was refused. */
  readonly subject: string
  /** Address of the client. */
  readonly address: string
}

/** How a cell ended. `refused`: it was not run. */
export type CellOutcome = 'ok' | 'error' | 'aborted' | 'interrupted' | 'died' | 'refused'

/** Which kernel, and whose. */
export interface OfKernel {
  readonly kernel: string
  readonly owner: string
}

export type Observed =
  /** A request over HTTP is about to be looked at. */
  | { readonly what: 'request_began'; readonly asker: Asker; readonly method: string; readonly route: string }
  /** A request over HTTP was answered, or a WebSocket refused. */
  | {
      readonly what: 'request'
      readonly asker: Asker
      readonly method: string
      /** The pattern of its route, which unlike the URL holds no token. */
      readonly route: string
      readonly kernel: string | null
      /** What else its path names: a checkpoint, an execution; null: nothing. */
      readonly target: string | null
      readonly status: number
      /** Code of the error that it was answered with; null: none. */
      readonly code: string | null
      /** Milliseconds since the epoch. */
      readonly began: number
      readonly ms: number
    }
  | ({ readonly what: 'connected' | 'disconnected'; readonly asker: Asker; readonly session: string | null } & OfKernel)
  | ({
      readonly what: 'kernel_started'
      readonly spec: string
      readonly ms: number
      /** Null: it is ready. */
      readonly code: string | null
      readonly asker: Asker | null
    } & OfKernel)
  | ({ readonly what: 'kernel_ended' } & OfKernel)
  /** A worker was given to a kernel. */
  | ({ readonly what: 'worker_up'; readonly pid: number } & OfKernel)
  | ({
      readonly what: 'worker_died'
      /** A signal, `exit`, or the name of a limit: few, for labels. */
      readonly cause: string
      readonly exit_code: number | null
      readonly why: string | null
    } & OfKernel)
  /** `execution`: the msg_id of its request. */
  | ({
      readonly what: 'cell_asked'
      readonly execution: string
      /** Of the client's messages. */
      readonly session: string
      /** Through which attachment it came. */
      readonly client: string
      /** Content of the request, as JSON. */
      readonly content: Buffer
      readonly asker: Asker | null
    } & OfKernel)
  | ({ readonly what: 'cell_began'; readonly execution: string; readonly waited_ms: number } & OfKernel)
  | ({
      readonly what: 'cell_ended'
      readonly execution: string
      readonly outcome: CellOutcome
      /** Name of the exception; null: none. */
      readonly ename: string | null
      /** What became of the transaction around it; null: it had none. */
      readonly transaction: string | null
      /** Milliseconds since the epoch; null: it was asked for or began while nobody watched. */
      readonly asked: number | null
      readonly waited_ms: number | null
      readonly ms: number | null
    } & OfKernel)
  | ({ readonly what: 'interrupted'; readonly asker: Asker | null; readonly client: string | null } & OfKernel)
  /** An op of a comm target was asked for, on a comm or from outside the protocol; only of the latter the end is told. */
  | ({
      readonly what: 'op'
      readonly target: string
      readonly op: string
      readonly by: string
      readonly id: string | null
      readonly asker: Asker | null
    } & OfKernel)
  | ({ readonly what: 'op_ended'; readonly id: string; readonly code: string | null } & OfKernel)
  /** Kernels were made of copies of this one. */
  | ({ readonly what: 'forked'; readonly kernels: number; readonly code: string | null } & OfKernel)
  /** A call of the store has ended. */
  | ({
      readonly what: 'stored'
      readonly call: string
      /** Id or name; null: it is about none. */
      readonly checkpoint: string | null
      /** The cell that was being run; null: none. */
      readonly execution: string | null
      /** Code of the error; null: it is done. */
      readonly code: string | null
      /** Bytes that were written for a checkpoint; 0: it was about something else. */
      readonly bytes: number
      /** How long the kernel was held up, and how long its writer took; null: this call writes none. */
      readonly pause_ms: number | null
      readonly write_ms: number | null
      readonly began: number
      readonly ms: number
    } & OfKernel)
  /** A client got messages that it had missed no more, since its journal has lost them. */
  | ({ readonly what: 'missed'; readonly messages: number } & OfKernel)
  /** Somebody's message was not taken, since too many wait. */
  | ({ readonly what: 'message_dropped'; readonly type: string } & OfKernel)
  /** Lines of the history that could not be kept. */
  | { readonly what: 'history_lost'; readonly lines: number }
  /** A line of the audit log that could not be written. */
  | { readonly what: 'audit_lost' }
  /** A kernel of a gateway before this one. `resting`: on disk until it is asked for. */
  | ({
      readonly what: 'taken_up'
      readonly outcome: 'living' | 'recovered' | 'resting' | 'lost'
      readonly ms: number
    } & OfKernel)
  /** A zygote ended that was not told to. */
  | { readonly what: 'zygote_died'; readonly cause: string }
  | { readonly what: 'journal_failed' | 'journal_recovered'; readonly kernel: string; readonly code: string | null }

export type Observe = (what: Observed) => void

export const unobserved: Observe = () => {}

/** Tells each of them; `onFault` hears of one that fails, which the others and the teller do not. */
export function toAll(watchers: readonly Observe[], onFault: (error: unknown) => void): Observe {
  return (what) => {
    for (const watcher of watchers) {
      try {
        watcher(what)
      } catch (error) {
        onFault(error)
      }
    }
  }
}

/**
 * On whose behalf something is done now: set around the handling of a request, and asked where that hands something to
 * a kernel. What a kernel does later on is nobody's request.
 */
export const asking = new AsyncLocalStorage<Asker>()

/** An id that may stand in logs and headers: of a client that sends a sane one, it is taken. */
export function saneRequestId(given: string | readonly string[] | undefined): string | null {
  return typeof given === 'string' && /^[\w.:/+=-]{1,128}$/.test(given) ? given : null
}

/** As of https://www.w3.org/TR/trace-context/; null for what is none, which is to be ignored. */
export function saneTraceparent(given: string | readonly string[] | undefined): string | null {
  if (typeof given !== 'string') return null
  const [, version, trace, parent] = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-[\da-f]{2}(?:-.*)?$/.exec(given) ?? []
  if (version === undefined || version === 'ff' || (version === '00' && given.length !== 55)) return null
  return /^0+$/.test(trace ?? '0') || /^0+$/.test(parent ?? '0') ? null : given
}
