/** A kernel that runs, on the other side of five sockets. */

import { DummyFrontend } from './frontend.js'
import { KernelProcess } from './kernel-process.js'
import type { Hearing, Speech, Stage } from './perform.js'

const EXIT_MS = 10_000

export class LiveStage implements Stage {
  readonly isOurs: boolean
  /** It was to end, and had not after EXIT_MS. */
  isHanging = false
  readonly #kernel: KernelProcess
  readonly #frontend: DummyFrontend
  #ended = false

  private constructor(kernel: KernelProcess, frontend: DummyFrontend, isOurs: boolean) {
    this.#kernel = kernel
    this.#frontend = frontend
    this.isOurs = isOurs
  }

  /** Starts a kernel and waits until it answers. Its data folder begins as a copy of `data`. */
  static async open(argv: readonly string[], isOurs: boolean, data: string | null = null): Promise<LiveStage> {
    const kernel = new KernelProcess(argv, data)
    const frontend = new DummyFrontend(kernel.connection)
    const gone = kernel.ended.then((code) => {
      throw new Error(`The kernel ended with ${code}:\n${kernel.errors}`)
    })
    try {
      await Promise.race([frontend.greets('ann'), gone])
    } catch (error) {
      frontend.closes()
      await kernel.end()
      throw error
    }
    // From here on its end is one of the things that a transcript may expect.
    gone.catch(() => {})
    return new LiveStage(kernel, frontend, isOurs)
  }

  async say(speech: Speech): Promise<string> {
    return await this.#frontend.says(speech)
  }

  async hear(channel: string, client: string): Promise<Hearing> {
    if (channel !== 'process') return await this.#frontend.hears(channel, client)
    this.#ended = true
    const code = await Promise.race([this.#kernel.ended, timeout(EXIT_MS)])
    this.isHanging = code === null
    const header = { msg_id: '', msg_type: 'exit' }
    return { type: 'exit', content: { code }, metadata: {}, buffers: [], header, parent: null, order: null }
  }

  async rest(): Promise<readonly string[]> {
    if (this.#ended) return []
    const found = await this.#frontend.leftovers('ann')
    return found.map(({ type, content }) => `< ${type} ${JSON.stringify(content)}`)
  }

  get errors(): string {
    return this.#kernel.errors
  }

  async close(): Promise<void> {
    this.#frontend.closes()
    await this.#kernel.end()
  }
}

async function timeout(ms: number): Promise<null> {
  return await new Promise((resolve) => {
    setTimeout(() => resolve(null), ms).unref()
  })
}
