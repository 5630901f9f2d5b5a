/** The ports of a host as lists: what it did, in the order in which it did it. */

import type { ClientPort, StorePort, UsagePort, WorkerPort } from '../../src/host/ports.js'
import { parsed } from '../support/messages.js'

export interface Done {
  readonly port: 'clients' | 'workers' | 'store'
  readonly what: string
  readonly details: Readonly<Record<string, unknown>>
}

export class FakePorts {
  readonly done: Done[] = []
  /** What the store answers; an Error is thrown. */
  answer: unknown = []
  /** Commands to workers fail with this. */
  broken: Error | null = null

  readonly clients: ClientPort = {
    publish: (topic, frames) => this.#note('clients', topic, messageOf(frames)),
    reply: (channel, client, frames) =>
      this.#note('clients', channel, { ...messageOf(frames), to: client.routing.map(String) }),
  }

  readonly workers: WorkerPort = {
    awaken: () => this.#tell('awaken', {}),
    fork: (token, generation) => this.#tell('fork', { token, generation }),
    wake: (snapshot, token, generation) => this.#tell('wake', { snapshot, token, generation }),
    copy: (snapshot, name) => this.#tell('copy', { snapshot, name }),
    become: (snapshot, token, generation) => this.#tell('become', { snapshot, token, generation }),
    discard: (snapshots) => this.#tell('discard', { snapshots }),
    kill: (pid) => this.#tell('kill', { pid }),
    cancelWriter: (checkpoint) => this.#tell('cancel_writer', { checkpoint }),
    interrupt: (pid, seq) => this.#tell('interrupt', { pid, seq }),
    nudge: (pid) => this.#tell('nudge', { pid }),
    command: (command) => this.#tell(command.kind, { ...command }),
    callDebugger: (pid, token) => this.#tell('call_debugger', { pid, token }),
    tellDebugger: (command) => this.#tell(command.kind, { ...command }),
    dismissDebugger: () => this.#tell('dismiss_debugger', {}),
    stop: (linger) => this.#tell('stop_workers', { linger }),
  }

  readonly usage: UsagePort = {
    weigh: async (pids: readonly number[]) => pids.map(() => null),
    measure: async (worker, frozen) => ({ pid: worker, frozen }),
  }

  readonly store: StorePort = {
    remember: (line, source) => this.#note('store', 'remember', { line, source }),
    rememberResult: (line, transformed, output) => this.#note('store', 'result', { line, transformed, output }),
    historySession: () => this.#ask('session', {}),
    history: (request) => this.#ask('history', { request }),
    beginCheckpoint: (request) => this.#ask('begin', { ...request }),
    sealCheckpoint: (checkpoint, facts) => this.#ask('seal', { checkpoint, facts }),
    abandonCheckpoint: (checkpoint) => this.#ask('abandon', { checkpoint }),
    openCheckpoint: (checkpoint) => this.#ask('open', { checkpoint }),
    describeCheckpoint: (checkpoint) => this.#ask('describe', { checkpoint }),
    validateCheckpoint: (checkpoint) => this.#ask('validate', { checkpoint }),
    deleteCheckpoint: (checkpoint) => this.#ask('delete', { checkpoint }),
    diffCheckpoints: (from, to) => this.#ask('diff', { from, to }),
    exportCheckpoint: (checkpoint, bytesMax) => this.#ask('export', { checkpoint, bytesMax }),
    importCheckpoint: (bytes, trust) => this.#ask('import', { bytes, trust }),
    head: () => this.#ask('head', {}),
    setHead: (head) => this.#ask('set_head', { ...head }),
    pruneCheckpoints: (note, keep) => this.#ask('prune', { note, keep }),
    listCheckpoints: (query) => this.#ask('list', { ...query }),
  }

  find(what: string): Done['details'] {
    const found = this.done.findLast((each) => each.what === what)
    if (!found) throw new Error(`No ${what}; there were: ${this.done.map((each) => each.what).join(', ')}.`)
    return found.details
  }

  #note(port: Done['port'], what: string, details: Done['details']): void {
    this.done.push({ port, what, details })
  }

  #tell(what: string, details: Done['details']): void {
    if (this.broken) throw this.broken
    this.#note('workers', what, details)
  }

  async #ask<T>(what: string, details: Done['details']): Promise<T> {
    this.#note('store', what, details)
    if (this.answer instanceof Error) throw this.answer
    return this.answer as T
  }
}

function messageOf(frames: readonly Buffer[]): Done['details'] {
  const [delimiter, signature, header, parent, metadata, content] = frames
  return {
    delimiter: String(delimiter),
    signature: String(signature),
    header: parsed(header ?? Buffer.alloc(0)),
    parent: parsed(parent ?? Buffer.alloc(0)),
    metadata: parsed(metadata ?? Buffer.alloc(0)),
    content: parsed(content ?? Buffer.alloc(0)),
  }
}
