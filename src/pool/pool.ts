/** Workers for many kernels, forked from shared zygotes. */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { SavepointError } from '../errors.js'
import type { Backing, Resident } from '../worker/backing.js'
import { openDoor, type Door } from '../worker/door.js'
import { listenerTo, type PythonEvent } from '../worker/events.js'
import { seatIn, type SeatPaths } from '../worker/seat.js'
import { Workers } from '../worker/workers.js'
import { Zygote } from '../worker/zygote.js'
import type { PoolNeeds, PoolOptions } from './options.js'
import { startKey } from './start-key.js'

export interface Pool {
  /** Opens the door, and begins to make workers ready. */
  start(): Promise<void>
  /** The workers of one kernel. */
  newWorkers(needs: PoolNeeds, deliver: (event: PythonEvent) => void): Workers
  /** Resolves once workers can be had. Rejects with `timeout`. */
  waitForReady(timeoutMs: number): Promise<void>
  /** For `GET /api/savepoint/pool`. */
  status(): PoolStatus
  /** Ends every process. */
  stop(): Promise<void>
}

/** As on the wire. */
export interface PoolStatus {
  readonly items: readonly object[]
  readonly total_count: number
}

export function createPool(options: PoolOptions): Pool {
  const zygotes = new Map<string, Shared>()
  const seats = new Map<string, Resident>()
  let door: Door | null = null
  let places = 0
  const link = join(options.folder, 'link')

  interface Shared {
    readonly zygote: Zygote
    readonly ready: Promise<Buffer>
    readonly residents: Set<Resident>
  }

  function shared(needs: PoolNeeds): Shared {
    const spec = options.spec(needs.spec)
    if (spec === null) throw new SavepointError('unknown_kernelspec', `There is no kernelspec ${needs.spec}.`)
    const { key, atStart } = startKey(needs.spec, spec, needs.tenant, needs.environment)
    const found = zygotes.get(key)
    if (found) return found
    const residents = new Set<Resident>()
    let settle: { resolve: (info: Buffer) => void; reject: (error: Error) => void }
    const ready = new Promise<Buffer>((resolve, reject) => (settle = { resolve, reject }))
    ready.catch(() => {})
    const zygote = new Zygote(
      {
        kernel: key,
        python: spec.python,
        starter: options.starter,
        stack: spec.stack,
        environment: environmentOf(spec.environment, atStart),
        kernelArguments: ['-f', options.connectionFile('pool')],
        rendezvous: null,
        lingerS: 0,
        token: randomBytes(16).toString('hex'),
        early: null,
        link,
        preload: spec.preload,
        warm: true,
        clock: options.clock,
        log: options.log,
        limits: options.workerLimits,
      },
      {
        ready: (kernelInfo) => settle.resolve(kernelInfo),
        died: () => {
          zygotes.delete(key)
          settle.reject(new SavepointError('internal', 'The Python process that workers are forked from has died.'))
          for (const resident of residents) resident.zygoteDied()
        },
      },
    )
    const made = { zygote, ready, residents }
    zygotes.set(key, made)
    void zygote.start()
    return made
  }

  function newWorkers(needs: PoolNeeds, deliver: (event: PythonEvent) => void): Workers {
    const mine: string[] = []
    let base: Shared | null = null
    let resident: Resident | null = null
    const backing: Backing = {
      async start(workers) {
        resident = workers
        base = shared(needs)
        base.residents.add(workers)
        workers.zygoteReady(await base.ready)
      },
      place(): SeatPaths {
        const paths = seatIn(options.folder, `w${(places += 1)}`)
        if (resident) {
          seats.set(paths.place, resident)
          base?.zygote.hold(paths.place, { ...holderOf(resident), ended: left })
        }
        mine.push(paths.place)
        return paths
      },
      tell: (command) => base?.zygote.tell(command),
      stop() {
        if (mine.length === 0) left('')
        for (const place of mine) base?.zygote.tell({ kind: 'end', kernel: place })
      },
      abandon() {
        for (const place of mine) base?.zygote.tell({ kind: 'end', kernel: place })
      },
    }
    function left(place: string): void {
      seats.delete(place)
      base?.zygote.release(place)
      mine.splice(mine.indexOf(place), 1)
      if (mine.length > 0 || !resident) return
      base?.residents.delete(resident)
      resident.ended()
    }
    const spec = options.spec(needs.spec)
    return new Workers(
      {
        cwd: needs.cwd,
        workerEnvironment: spec ? startKey(needs.spec, spec, needs.tenant, needs.environment).atLease : {},
        connectionFile: options.connectionFile(needs.kernelId),
        clock: options.clock,
        log: options.log,
        limits: options.workerLimits,
      },
      backing,
      listenerTo(deliver),
    )
  }

  return {
    async start() {
      door = await openDoor(
        link,
        (hello, connect) => {
          if (hello.role !== 'zygote') return seats.get(hello.kernel)?.admit(hello, connect) ?? false
          return [...zygotes.values()].some(({ zygote }) => zygote.admit(hello, connect))
        },
        options.log,
        options.workerLimits.helloMs,
      )
    },
    newWorkers,
    waitForReady: async () => {},
    status: () => ({ items: [], total_count: 0 }),
    async stop() {
      await Promise.all(
        [...zygotes.values()].map(({ zygote }) => new Promise<void>((resolve) => zygote.stop(false, resolve))),
      )
      door?.close()
    },
  }
}

function holderOf(resident: Resident): Resident {
  return {
    forked: (token, pid) => resident.forked(token, pid),
    forkFailed: (token, reason) => resident.forkFailed(token, reason),
    died: (pid, death) => resident.died(pid, death),
    snapshotGone: (snapshot) => resident.snapshotGone(snapshot),
  } as Resident
}

function environmentOf(
  base: Readonly<Record<string, string | undefined>>,
  changes: Readonly<Record<string, string | null>>,
): Readonly<Record<string, string | undefined>> {
  return { ...base, ...Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, value ?? undefined])) }
}
