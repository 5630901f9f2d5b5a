/**
 * Traces for OpenTelemetry: a request over HTTP, the kernel or the cell or the op that it asked for, and the checkpoints
 * that these wrote or opened are one trace; it goes on with that of the client, if it sent a `traceparent`.
 *
 * The libraries are loaded only when `tracing.endpoint` is set. Spans wait in a queue that is bounded: a receiver that
 * does not take them costs spans, never a request.
 */

import type { Context, Span, SpanContext } from '@opentelemetry/api'
import { config } from '../config.js'
import { SavepointError } from '../errors.js'
import type { Log } from '../log.js'
import type { Asker, Observe, Observed } from '../observe.js'
import type { SettingValues } from '../settings.js'

export interface Tracing {
  readonly observe: Observe
  /** Sends what waits, within a bounded time. Never rejects. */
  close(): Promise<void>
}

/** Spans that have not ended; of more the oldest are ended. */
const OPEN_MAX = 10_000

/** Null unless `tracing.endpoint` is set. Throws USAGE. */
export async function openTracing(values: SettingValues, version: string, log: Log): Promise<Tracing | null> {
  const endpoint = values['tracing.endpoint']
  if (endpoint === null) return null
  const url = endpointUrl(endpoint)
  const headers = headersOf(values['tracing.headers'])
  const [api, { OTLPTraceExporter }, { resourceFromAttributes }, sdk] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/sdk-trace'),
  ])
  const tell = (message: string): void => log('warn', 'traces_not_sent', { reason: message.slice(0, 1_000) })
  const silent = (): void => {}
  const { WARN: logLevel } = api.DiagLogLevel
  api.diag.setLogger(
    { error: tell, warn: tell, info: silent, debug: silent, verbose: silent },
    { logLevel, suppressOverrideMessage: true },
  )
  const { queueMax, batchMax, delayMs, exportMs } = config.tracing
  const exporter = new OTLPTraceExporter({ url, headers, timeoutMillis: exportMs })
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'savepoint', 'service.version': version }),
    sampler: new sdk.ParentBasedSampler({
      root: new sdk.TraceIdRatioBasedSampler(values['tracing.sampled_percent'] / 100),
    }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter,
        maxQueueSize: queueMax,
        maxExportBatchSize: batchMax,
        scheduledDelayMillis: delayMs,
        exportTimeoutMillis: exportMs,
      }),
    ],
  })
  const tracer = provider.getTracer('savepoint', version)
  const under = (parent: SpanContext | null): Context =>
    parent === null ? api.ROOT_CONTEXT : api.trace.setSpanContext(api.ROOT_CONTEXT, parent)
  const { ERROR } = api.SpanStatusCode
  const spans = new Spans(
    (name, { parent, isServer, start, attributes }) => {
      const kind = isServer === true ? api.SpanKind.SERVER : api.SpanKind.INTERNAL
      return tracer.startSpan(
        name,
        { kind, attributes, ...(start === undefined ? {} : { startTime: start }) },
        under(parent),
      )
    },
    (span, message) => span.setStatus({ code: ERROR, message }),
  )
  return {
    observe: (facts) => spans.take(facts),
    async close() {
      spans.endAll()
      try {
        await provider.shutdown()
      } catch (error) {
        tell(String(error))
      }
      api.diag.disable()
    },
  }
}

/** Asked every few seconds by machines that trace nothing. */
const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/api/savepoint/ready', '/metrics'])

interface Beginning {
  readonly parent: SpanContext | null
  readonly isServer?: boolean
  /** Milliseconds since the epoch; absent: now. */
  readonly start?: number
  readonly attributes: Readonly<Record<string, string | number | boolean>>
}

/** Makes spans of facts. */
class Spans {
  readonly #start: (name: string, beginning: Beginning) => Span
  readonly #fail: (span: Span, message: string) => void
  readonly #open = new Map<string, Span>()
  /** Of the op that each kernel is asked for now. */
  readonly #ops = new Map<string, string>()

  constructor(start: (name: string, beginning: Beginning) => Span, fail: (span: Span, message: string) => void) {
    this.#start = start
    this.#fail = fail
  }

  take(facts: Observed): void {
    switch (facts.what) {
      case 'request_began': {
        const { asker, method, route } = facts
        if (PROBES.has(route)) return
        const attributes = { 'http.request.method': method, 'http.route': route, 'savepoint.request': asker.request }
        this.#begin(`request ${asker.serial}`, `${method} ${route}`, {
          parent: remoteOf(asker),
          isServer: true,
          attributes,
        })
        return
      }
      case 'request': {
        const { asker, status, code } = facts
        const attributes = { 'http.response.status_code': status, 'enduser.id': asker.subject }
        this.#end(`request ${asker.serial}`, attributes, status >= 500 ? (code ?? 'internal') : null)
        return
      }
      case 'kernel_started': {
        const { asker, spec, ms, code } = facts
        const attributes = { ...of(facts), 'savepoint.kernelspec': spec }
        const span = this.#start('start kernel', { parent: this.#requestOf(asker), start: Date.now() - ms, attributes })
        if (code !== null) this.#fail(span, code)
        span.end()
        return
      }
      case 'cell_asked': {
        const { asker, kernel, execution, session } = facts
        const attributes = { ...of(facts), 'savepoint.execution': execution, 'savepoint.session': session }
        this.#begin(`cell ${kernel} ${execution}`, 'execute', { parent: this.#requestOf(asker), attributes })
        return
      }
      case 'cell_began':
        this.#open.get(`cell ${facts.kernel} ${facts.execution}`)?.addEvent('busy')
        return
      case 'cell_ended': {
        const { kernel, execution, outcome, ename, transaction } = facts
        const attributes = {
          'savepoint.outcome': outcome,
          ...(ename === null ? {} : { 'exception.type': ename }),
          ...(transaction === null ? {} : { 'savepoint.transaction': transaction }),
        }
        this.#end(`cell ${kernel} ${execution}`, attributes, outcome === 'ok' ? null : (ename ?? outcome))
        return
      }
      case 'op': {
        const { id, asker, kernel, target, op } = facts
        if (id === null) return
        const attributes = { ...of(facts), 'savepoint.target': target }
        this.#begin(`op ${id}`, op, { parent: this.#requestOf(asker), attributes })
        this.#ops.set(kernel, `op ${id}`)
        return
      }
      case 'op_ended': {
        this.#end(`op ${facts.id}`, {}, facts.code)
        if (this.#ops.get(facts.kernel) === `op ${facts.id}`) this.#ops.delete(facts.kernel)
        return
      }
      case 'stored': {
        const { call, kernel, execution, checkpoint, bytes, code, ms, pause_ms, write_ms } = facts
        if (!call.includes('checkpoint')) return
        const within = this.#open.get(`cell ${kernel} ${execution}`) ?? this.#open.get(this.#ops.get(kernel) ?? '')
        // A checkpoint that is sealed was written before.
        const start = Date.now() - ms - (write_ms ?? 0)
        const attributes = {
          ...of(facts),
          ...(checkpoint === null ? {} : { 'savepoint.checkpoint': checkpoint }),
          ...(pause_ms === null
            ? {}
            : { 'savepoint.checkpoint.bytes': bytes, 'savepoint.checkpoint.pause_ms': pause_ms }),
        }
        const name = call === 'seal_checkpoint' ? 'write checkpoint' : call.replace('_', ' ')
        const span = this.#start(name, { parent: within?.spanContext() ?? null, start, attributes })
        if (code !== null) this.#fail(span, code)
        span.end()
        return
      }
      default:
    }
  }

  endAll(): void {
    for (const span of this.#open.values()) span.end()
    this.#open.clear()
  }

  #begin(key: string, name: string, beginning: Beginning): void {
    this.#open.set(key, this.#start(name, beginning))
    const [oldest] = this.#open
    if (this.#open.size <= OPEN_MAX || oldest === undefined) return
    oldest[1].end()
    this.#open.delete(oldest[0])
  }

  #end(key: string, attributes: Beginning['attributes'], failure: string | null): void {
    const span = this.#open.get(key)
    if (span === undefined) return
    span.setAttributes(attributes)
    if (failure !== null) this.#fail(span, failure)
    span.end()
    this.#open.delete(key)
  }

  /** A WebSocket's request has been answered long ago: its cells are traces of their own. */
  #requestOf(asker: Asker | null): SpanContext | null {
    return asker === null ? null : (this.#open.get(`request ${asker.serial}`)?.spanContext() ?? null)
  }
}

function of({ kernel, owner }: { readonly kernel: string; readonly owner: string }): Record<string, string> {
  return { 'savepoint.kernel': kernel, 'savepoint.owner': owner }
}

function remoteOf({ traceparent }: Asker): SpanContext | null {
  const [, traceId, spanId, flags] = traceparent?.split('-') ?? []
  if (traceId === undefined || spanId === undefined) return null
  return { traceId, spanId, traceFlags: Number.parseInt(flags ?? '00', 16) & 1, isRemote: true }
}

/** Throws USAGE. */
function endpointUrl(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new SavepointError('USAGE', 'tracing.endpoint must be a URL such as http://127.0.0.1:4318.')
  }
  if (url.pathname === '/') url.pathname = '/v1/traces'
  return url.href
}

/** Throws USAGE; the values are secrets, and are not shown. */
function headersOf(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((each): [string, string] => {
      const at = each.indexOf('=')
      if (at < 1) throw new SavepointError('USAGE', 'Each of tracing.headers must be NAME=VALUE.')
      return [each.slice(0, at).trim(), each.slice(at + 1).trim()]
    }),
  )
}
