/** What the workers of a kernel stand on that has a zygote and a door to itself. */

import { openDoor, type Door } from './door.js'
import { makeFifos } from './fifo.js'
import type { RuntimeDir } from './runtime-dir.js'
import type { SeatPaths } from './seat.js'
import type { Backing, Resident } from './backing.js'
import { Zygote, type ZygoteOptions } from './zygote.js'

export interface OwnZygoteOptions extends Omit<ZygoteOptions, 'link'> {
  readonly dir: RuntimeDir
  readonly limits: ZygoteOptions['limits'] & { readonly helloMs: number }
}

export class OwnZygote implements Backing {
  readonly zygote = 0
  readonly #options: OwnZygoteOptions
  readonly #process: Zygote
  readonly #seat: SeatPaths
  #workers: Resident | null = null
  #door: Door | null = null
  #ended = false

  constructor(options: OwnZygoteOptions) {
    const { kernel, dir } = options
    this.#options = options
    this.#seat = { place: kernel, stdout: dir.stdout, stderr: dir.stderr, interrupts: dir.interrupts }
    this.#process = new Zygote(
      { ...options, link: dir.link },
      {
        ready: (kernelInfo) => this.#workers?.zygoteReady(kernelInfo),
        died: () => this.#workers?.zygoteDied(),
      },
    )
  }

  /** Opens the door and gets a zygote: one that lingers from before a restart, else a new process. */
  async start(workers: Resident): Promise<void> {
    const { dir, limits, log, kernel } = this.#options
    this.#workers = workers
    this.#process.hold(kernel, workers)
    const fifos = makeFifos(dir.stdout, dir.stderr)
    this.#door = await openDoor(
      dir.link,
      (hello, connect) =>
        hello.role === 'zygote' ? this.#process.admit(hello, connect) : workers.admit(hello, connect),
      log,
      limits.helloMs,
    )
    await this.#process.start()
    await fifos
    workers.sit(this.#seat)
  }

  place(): SeatPaths {
    return this.#seat
  }

  tell(command: Parameters<Backing['tell']>[0]): void {
    this.#process.tell(command)
  }

  stop(linger: boolean): void {
    this.#process.stop(linger, () => {
      this.#letGo()
      this.#workers?.ended()
    })
  }

  abandon(): void {
    if (this.#ended) return
    this.#process.abandon()
    this.#letGo()
  }

  #letGo(): void {
    this.#ended = true
    this.#door?.close()
    this.#process.close()
  }
}
