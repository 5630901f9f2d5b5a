/**
 * Jupyter's REST sessions: which document uses which kernel. They are no more than this table, which is kept for the
 * gateway that comes after this one.
 *
 * As in jupyter_server, a session whose kernel has ended is noticed when it is looked at.
 */

import { randomUUID } from 'node:crypto'
import { config } from '../config.js'
import { SavepointError } from '../errors.js'
import type { GatewayKernel, GatewayKernels } from './ports.js'
import { kernelModel, type KernelModel } from './models.js'

export interface NotebookSession {
  readonly id: string
  readonly owner: string
  readonly path: string
  readonly name: string
  readonly type: string
  readonly kernelId: string
}

export interface SessionModel {
  readonly id: string
  readonly path: string
  readonly name: string
  readonly type: string
  readonly kernel: KernelModel
  /** What clients of 2015 read. */
  readonly notebook?: { readonly path: string; readonly name: string }
}

/** Where sessions outlive the gateway. */
export interface SessionsFile {
  /** Those of the gateway before. */
  read(): readonly NotebookSession[]
  write(sessions: readonly NotebookSession[]): void
}

export class Sessions {
  readonly #kernels: GatewayKernels
  readonly #sessions = new Map<string, NotebookSession>()

  readonly #perOwnerMax: number
  readonly #file: SessionsFile | null

  /** A kernel may have many sessions, so that a bound on kernels is none on them. `file` null: they end with the gateway. */
  constructor(
    kernels: GatewayKernels,
    file: SessionsFile | null = null,
    perOwnerMax: number = config.kernels.sessionsMax,
  ) {
    this.#kernels = kernels
    this.#file = file
    this.#perOwnerMax = perOwnerMax
    for (const session of file?.read() ?? []) this.#sessions.set(session.id, session)
  }

  /** Of living kernels. */
  list(): readonly NotebookSession[] {
    for (const { id, kernelId } of this.#sessions.values()) {
      if (this.#kernels.find(kernelId) === undefined) this.#sessions.delete(id)
    }
    return [...this.#sessions.values()]
  }

  /** Whether or not its kernel lives. */
  get(id: string): NotebookSession | null {
    return this.#sessions.get(id) ?? null
  }

  ofPath(path: string, owner: string): NotebookSession | null {
    return this.list().find((session) => session.path === path && session.owner === owner) ?? null
  }

  /** Throws `quota_exceeded` where `owner` has as many as one may have. */
  checkRoom(owner: string): void {
    const own = this.list().filter((session) => session.owner === owner)
    if (own.length < this.#perOwnerMax) return
    const message = `You may have ${this.#perOwnerMax} sessions at a time. End one first.`
    throw new SavepointError('quota_exceeded', message, { sessions_max: this.#perOwnerMax })
  }

  add(session: Omit<NotebookSession, 'id'>): NotebookSession {
    // Those that nobody lists any more must not stay.
    this.list()
    const added = { ...session, id: randomUUID() }
    this.#sessions.set(added.id, added)
    this.#keep()
    return added
  }

  change(id: string, changes: Partial<Omit<NotebookSession, 'id' | 'owner'>>): NotebookSession | null {
    const before = this.#sessions.get(id)
    if (before === undefined) return null
    const after = { ...before, ...changes }
    this.#sessions.set(id, after)
    this.#keep()
    return after
  }

  remove(id: string): void {
    this.#sessions.delete(id)
    this.#keep()
  }

  #keep(): void {
    this.#file?.write([...this.#sessions.values()])
  }
}

export function sessionModel({ id, path, name, type }: NotebookSession, kernel: GatewayKernel): SessionModel {
  const notebook = type === 'notebook' ? { notebook: { path, name } } : {}
  return { id, path, name, type, kernel: kernelModel(kernel), ...notebook }
}
