/** One zygote of the pool, and the kernels that live below it. */

import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Log } from '../log.js'
import type { Inventory } from '../link/protocol.js'
import type { Resident } from '../worker/backing.js'
import { Zygote, type ZygoteFacts, type ZygoteOptions } from '../worker/zygote.js'
import { Freshness, type Seen } from './freshness.js'
import type { PoolOptions } from './options.js'
import type { Start } from './starts.js'
import type { ZygoteNote } from './zygote-records.js'

export interface SharedZygoteListener {
  up(): void
  /** Before `up` that is a start that failed. */
  lost(): void
}

export class SharedZygote {
  readonly id: number
  readonly key: string
  readonly token: string
  readonly zygote: Zygote
  /** Where its sockets and pipes are: of one in a sandbox, in a folder that it shares with nobody. */
  readonly folder: string
  /** Nobody else has anything in that folder. */
  readonly isAlone: boolean
  /** Kernels that hear of its end. */
  readonly residents = new Set<Resident>()
  /** Of one that another gateway started: what it has in its care once it is back, or null: it is gone. */
  readonly back: Promise<Inventory | null>
  /** Its end has been told. */
  isGone = false
  kernelInfo: Buffer | null = null
  facts: ZygoteFacts | null = null
  #freshness: Freshness | null = null
  #settleBack: (inventory: Inventory | null) => void = () => {}

  /** It is to be started, or was, by another gateway (`note`). */
  constructor(
    id: number,
    key: string,
    from: Start | { readonly note: ZygoteNote },
    link: string,
    options: PoolOptions,
    listener: SharedZygoteListener,
  ) {
    this.id = id
    this.key = key
    const note = 'note' in from ? from.note : null
    this.folder = folderOf(id, from, options.folder)
    this.isAlone = basename(this.folder) === ownName(id)
    this.token = note?.token ?? randomBytes(16).toString('hex')
    this.back = new Promise((resolve) => (this.#settleBack = resolve))
    const { starter, clock, log, workerLimits, orphanMs = 0, spoolBytesMax, takeUpMs = 0 } = options
    const ready = (kernelInfo: Buffer, facts: ZygoteFacts): void => {
      this.kernelInfo = kernelInfo
      this.facts = facts
      this.#freshness = new Freshness(facts.import_folders ?? [], note?.folders)
      listener.up()
    }
    this.zygote = new Zygote(
      {
        kernel: key,
        ...processOf(from),
        ...sandboxOf(from, this.folder),
        starter,
        kernelArguments: ['-f', options.connectionFile('pool')],
        rendezvous: null,
        lingerS: 0,
        token: this.token,
        early: null,
        link: this.folder === options.folder ? link : this.#linkInto(link, note !== null, log),
        warm: true,
        orphanMs,
        ...(spoolBytesMax === undefined ? {} : { spoolBytesMax }),
        clock,
        log,
        limits: { ...workerLimits, takeUpMs },
      },
      {
        ready: (kernelInfo, facts) => {
          for (const [name, reason] of Object.entries(facts.preload_failed ?? {}))
            log('warn', 'preload_failed', { module: name, reason })
          ready(kernelInfo, facts)
        },
        returned: (inventory, kernelInfo) => {
          log('info', 'zygote_returned', { zygote: id, places: inventory.places.length })
          ready(kernelInfo, { kind: 'ready', ...inventory.ready })
          this.#settleBack(inventory)
        },
        died: () => {
          this.isGone = true
          this.#settleBack(null)
          listener.lost()
        },
      },
    )
  }

  /** What it dials. One of another gateway that cannot be given that does not come back. */
  #linkInto(link: string, isAway: boolean, log: Log): string {
    try {
      return linkInto(this.folder, link)
    } catch (error) {
      if (!isAway) throw error
      log('error', 'zygote_out_of_reach', { zygote: this.id, reason: (error as NodeJS.ErrnoException).code ?? '' })
      return link
    }
  }

  /** The folders that it imported from, as they were then. */
  get folders(): Readonly<Record<string, Seen>> {
    return this.#freshness?.seen ?? {}
  }

  /** A folder in which something was installed since it started, or null. */
  changedFolder(): string | null {
    return this.#freshness?.changed() ?? null
  }

  /** Other machines may have installed something. */
  lookAgain(): void {
    this.#freshness?.lookAgain()
  }

  /** No lease asks for it any more: it is gone, or is to go. */
  close(): void {
    this.#freshness?.close()
  }

  /** Ends it, and everything below it. */
  stop(stopped: () => void): void {
    this.close()
    this.#settleBack(null)
    this.zygote.stop(false, stopped)
  }

  /** It is gone, and everything below it. */
  tellResidents(): void {
    for (const resident of [...this.residents]) resident.zygoteDied()
    this.residents.clear()
  }
}

type OfProcess = Pick<ZygoteOptions, 'python' | 'stack' | 'environment' | 'preload' | 'away'>

function processOf(from: Start | { readonly note: ZygoteNote }): OfProcess {
  // Nothing of it is to be started again.
  if ('note' in from) return { python: '', stack: null, environment: {}, away: from.note }
  const { spec, atStart } = from
  const changes = Object.entries(atStart).map(([name, value]) => [name, value ?? undefined] as const)
  return {
    python: spec.python,
    stack: spec.stack,
    environment: { ...spec.environment, ...Object.fromEntries(changes) },
    preload: spec.preload,
  }
}

function sandboxOf(from: Start | { readonly note: ZygoteNote }, folder: string): Pick<ZygoteOptions, 'sandbox'> {
  if ('note' in from || from.spec.sandbox === undefined) return {}
  return { sandbox: from.spec.sandbox(from.tenant, folder) }
}

function folderOf(id: number, from: Start | { readonly note: ZygoteNote }, folder: string): string {
  if ('note' in from) return from.note.folder
  const own = join(folder, ownName(id))
  if (from.spec.sandbox === undefined) return folder
  mkdirSync(own, { recursive: true, mode: 0o700 })
  return own
}

const ownName = (id: number): string => `s${id}`

/**
 * The gateway's socket under another name: nothing else of its folder is seen in the sandbox, and who dialled another
 * gateway before goes on to dial there.
 */
function linkInto(folder: string, link: string): string {
  const own = join(folder, 'link')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  rmSync(own, { force: true })
  try {
    linkSync(link, own)
  } catch (error) {
    // It is on another file system, as after a change of XDG_RUNTIME_DIR.
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    symlinkSync(link, own)
  }
  return own
}
