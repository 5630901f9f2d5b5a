/**
 * Sees what one kernel takes and what it does about it, and tells whoever watches the gateway.
 *
 * It looks at events and effects on their way and keeps times of cells that have not ended, by their header: the kernel
 * hands the same bytes back as the parent of what it says. A cell that came before anybody watched is told without times.
 */

import type { Clock } from '../clock.js'
import type { DeathCause, Effect, KernelEvent, StoreCall, StoreOutcome } from '../kernel/effects.js'
import { childLog, type Log } from '../log.js'
import { asking, type CellOutcome, type Observe, type OfKernel } from '../observe.js'
import { json } from '../wire/message.js'

/** What the host tells of its kernel. */
export interface HostWatch {
  /** Taken in now, by whoever delivers it. */
  event(event: KernelEvent): void
  /** Is about to be performed. */
  effect(effect: Effect): void
  /** `ms`: what it took. */
  stored(call: StoreCall, outcome: StoreOutcome, ms: number): void
}

interface Cell {
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly asked: number
  /** Milliseconds of the monotonic clock; null: it has not begun. */
  readonly askedAt: number
  beganAt: number | null
}

const BUSY = json({ execution_state: 'busy' })
/** Of an error's content; a longer one has a traceback that is not worth reading for the name of the error. */
const CONTENT_BYTES_MAX = 1_048_576
/** Comms of ours of one kernel that are known at a time, and characters of ids of clients. */
const COMMS_MAX = 1_024
const ID_CHARS_MAX = 200

export class KernelWatch implements HostWatch {
  readonly #whose: OfKernel
  readonly #observe: Observe
  readonly #clock: Clock
  readonly #cells = new WeakMap<Buffer, Cell>()
  readonly #open = new Set<Cell>()
  readonly #comms = new Map<string, string>()
  #running: Cell | null = null

  constructor(whose: OfKernel, observe: Observe, clock: Clock) {
    this.#whose = whose
    this.#observe = observe
    this.#clock = clock
  }

  /** The same log, with the kernel, its owner and the cell that runs on each line. */
  log(log: Log): Log {
    const common = childLog(log, { kernel: this.#whose.kernel, owner: this.#whose.owner })
    return (level, event, fields = {}) => {
      const running = this.#running
      common(level, event, running === null ? fields : { execution: running.id, ...fields })
    }
  }

  event(event: KernelEvent): void {
    const whose = this.#whose
    switch (event.on) {
      case 'message':
        return this.#message(event)
      case 'op': {
        const { target, data, by, id } = event
        this.#op(target, data['op'], by, id)
        return
      }
      case 'interrupt':
        this.#observe({ what: 'interrupted', ...whose, asker: asking.getStore() ?? null, client: null })
        return
      case 'worker_up':
        this.#observe({ what: 'worker_up', ...whose, pid: event.pid })
        return
      case 'kernels_made': {
        const { outcome } = event
        const made = outcome.ok ? (outcome.result as { kernels?: unknown } | null)?.kernels : null
        const kernels = Array.isArray(made) ? made.length : 0
        this.#observe({ what: 'forked', ...whose, kernels, code: outcome.ok ? null : outcome.error.code })
        return
      }
      default:
    }
  }

  effect(effect: Effect): void {
    if (effect.do === 'publish') {
      if (effect.topic === 'status' && effect.message.contentBytes.equals(BUSY)) this.#began(effect.message.parentBytes)
    } else if (effect.do === 'reply' && effect.message.type === 'execute_reply') {
      const { parentBytes, metadataBytes, contentBytes } = effect.message
      this.#replied(parentBytes, metadataBytes, contentBytes)
    } else if (effect.do === 'answer') {
      const { id, outcome } = effect
      this.#observe({ what: 'op_ended', ...this.#whose, id, code: outcome.ok ? null : outcome.error.code })
    }
  }

  stored(call: StoreCall, outcome: StoreOutcome, ms: number): void {
    const sealed = call.call === 'seal_checkpoint'
    const value = outcome.ok ? (outcome.value as { written_bytes?: unknown } | null | undefined) : null
    this.#observe({
      what: 'stored',
      ...this.#whose,
      call: call.call,
      checkpoint: 'checkpoint' in call ? call.checkpoint.slice(0, ID_CHARS_MAX) : null,
      execution: this.#running?.id ?? null,
      code: outcome.ok ? null : outcome.error.code,
      bytes: sealed && typeof value?.written_bytes === 'number' ? value.written_bytes : 0,
      pause_ms: sealed ? call.facts.pause_ms : null,
      write_ms: sealed ? call.facts.write_ms : null,
      began: this.#clock.date().getTime() - ms,
      ms,
    })
  }

  /** Its worker ended that was not to end. */
  died(cause: DeathCause): void {
    this.#observe({
      what: 'worker_died',
      ...this.#whose,
      cause: cause.name ?? cause.signal?.name ?? 'exit',
      exit_code: cause.code,
      why: cause.why ?? null,
    })
  }

  /** Nothing more is heard of it: cells that have not ended never will. */
  ended(): void {
    for (const cell of this.#open) this.#tellEnd(cell, 'died', null, null)
    this.#open.clear()
    this.#running = null
  }

  #message({ channel, client, message }: Extract<KernelEvent, { on: 'message' }>): void {
    const { msg_type, msg_id, session } = message.header
    const [first] = client.routing
    const from = first === undefined ? '' : String(first).slice(0, ID_CHARS_MAX)
    if (msg_type === 'execute_request' && channel === 'shell') {
      const cell = {
        id: msg_id.slice(0, ID_CHARS_MAX),
        asked: this.#clock.date().getTime(),
        askedAt: this.#clock.now(),
        beganAt: null,
      }
      this.#cells.set(message.headerBytes, cell)
      this.#open.add(cell)
      this.#observe({
        what: 'cell_asked',
        ...this.#whose,
        execution: cell.id,
        session: session.slice(0, ID_CHARS_MAX),
        client: from,
        content: message.contentBytes,
        asker: asking.getStore() ?? null,
      })
    } else if (msg_type === 'interrupt_request') {
      this.#observe({ what: 'interrupted', ...this.#whose, asker: asking.getStore() ?? null, client: from })
    } else if (msg_type.startsWith('comm_')) this.#comm(msg_type, message.contentBytes, session)
  }

  /** Ops that come over our comms; others are none of ours, and are not looked into. */
  #comm(type: string, content: Buffer, session: string): void {
    if (type === 'comm_open' ? !content.includes('"savepoint.') : this.#comms.size === 0) return
    const { comm_id, target_name, data } = objectOf(content)
    if (typeof comm_id !== 'string') return
    if (type === 'comm_close') this.#comms.delete(comm_id)
    else if (type === 'comm_msg') {
      const target = this.#comms.get(comm_id)
      const op = typeof data === 'object' && data !== null ? (data as { op?: unknown }).op : null
      if (target !== undefined) this.#op(target, op, session)
    } else if (
      typeof target_name === 'string' &&
      target_name.startsWith('savepoint.') &&
      this.#comms.size < COMMS_MAX
    ) {
      this.#comms.set(comm_id, target_name)
    }
  }

  #op(target: string, op: unknown, by: string, id: string | null = null): void {
    if (typeof op !== 'string') return
    const named = {
      target: target.slice(0, ID_CHARS_MAX),
      op: op.slice(0, ID_CHARS_MAX),
      by: by.slice(0, ID_CHARS_MAX),
    }
    this.#observe({ what: 'op', ...this.#whose, ...named, id, asker: asking.getStore() ?? null })
  }

  #began(header: Buffer): void {
    const cell = this.#cells.get(header)
    if (cell === undefined || cell.beganAt !== null) return
    cell.beganAt = this.#clock.now()
    this.#running = cell
    this.#observe({ what: 'cell_began', ...this.#whose, execution: cell.id, waited_ms: cell.beganAt - cell.askedAt })
  }

  #replied(header: Buffer, metadataBytes: Buffer, content: Buffer): void {
    const cell = this.#cells.get(header) ?? null
    const metadata = objectOf(metadataBytes)
    const told = (metadata['savepoint'] ?? {}) as { mode?: unknown; transaction?: { outcome?: unknown } | null }
    const { ename = null } =
      metadata['status'] === 'error' && content.length < CONTENT_BYTES_MAX ? objectOf(content) : {}
    const name = typeof ename === 'string' ? ename.slice(0, ID_CHARS_MAX) : null
    const transaction = told.transaction?.outcome
    const outcome = outcomeOf(metadata['status'], name, told.mode === 'unknown')
    this.#tellEnd(cell ?? idOf(header), outcome, name, typeof transaction === 'string' ? transaction : null)
    if (cell === null) return
    this.#open.delete(cell)
    if (this.#running === cell) this.#running = null
  }

  /** `cell`: its id alone, for one that nobody saw coming. */
  #tellEnd(cell: Cell | string, outcome: CellOutcome, ename: string | null, transaction: string | null): void {
    const { id, asked, askedAt, beganAt } =
      typeof cell === 'string' ? { id: cell, asked: null, askedAt: null, beganAt: null } : cell
    const began = beganAt === null ? null : { waited_ms: beganAt - askedAt, ms: this.#clock.now() - beganAt }
    this.#observe({
      what: 'cell_ended',
      ...this.#whose,
      execution: id,
      outcome,
      ename,
      transaction,
      asked,
      ...(began ?? { waited_ms: null, ms: null }),
    })
  }
}

/** `unknown`: nobody looked at how the code would run, so it did not. */
function outcomeOf(status: unknown, ename: string | null, unknown: boolean): CellOutcome {
  if (status === 'aborted') return 'aborted'
  if (status !== 'error') return 'ok'
  if (ename === 'WorkerDied') return 'died'
  if (ename === 'KeyboardInterrupt') return 'interrupted'
  return ename === 'SavepointError' && unknown ? 'refused' : 'error'
}

function idOf(header: Buffer): string {
  const { msg_id } = objectOf(header)
  return typeof msg_id === 'string' ? msg_id.slice(0, ID_CHARS_MAX) : ''
}

function objectOf(bytes: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
