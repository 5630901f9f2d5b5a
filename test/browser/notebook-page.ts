/** A notebook in JupyterLab, as a person at the screen works with it: cells are known by their ids. */

import { EventEmitter, once } from 'node:events'
import type { Locator, Page } from 'playwright-core'
import type { CellOfNotebook, Lab } from './lab.js'

export const PATIENCE_MS = 30_000

export class NotebookPage {
  readonly page: Page
  private cells: readonly CellOfNotebook[] = []
  private readonly folder: string
  private readonly prefix: string
  private readonly kernel = new EventEmitter()
  private taken = 0

  constructor(page: Page, folder: string, prefix = '') {
    this.page = page
    this.folder = folder
    this.prefix = prefix
    page.setDefaultTimeout(PATIENCE_MS)
    page.on('websocket', (socket) => {
      if (!socket.url().includes('/channels')) return
      socket.on('framereceived', ({ payload }) => {
        if (payload.includes('kernel_info_reply')) this.kernel.emit('greeted')
      })
    })
  }

  /**
   * The next time that a kernel answers JupyterLab's first question. Ask for it before that which makes it happen.
   *
   * Before that the window says `idle` of a kernel that is still to be started, and cells that are run then are lost:
   * JupyterLab starts one kernel for them and another one for the notebook.
   */
  async greeting(): Promise<void> {
    await once(this.kernel, 'greeted', { signal: AbortSignal.timeout(PATIENCE_MS) })
  }

  /** Opens a notebook, in the place of the one before, and waits until its kernel is idle. */
  async open({ url, token, notebooks }: Lab, name: string): Promise<void> {
    this.cells = notebooks[name] ?? []
    const address = `${url}lab/tree/${name}.ipynb?reset&token=${token}`
    await Promise.all([this.greeting(), this.page.goto(address, { waitUntil: 'domcontentloaded' })])
    await this.cell(this.cells.at(-1)?.id ?? '').waitFor({ state: 'attached' })
    await this.waitUntilIdle()
  }

  /** Loads the page anew, as a person does who presses F5, and waits until its kernel has answered. */
  async reload(): Promise<void> {
    await Promise.all([this.greeting(), this.page.reload({ waitUntil: 'domcontentloaded' })])
    await this.cell(this.cells.at(-1)?.id ?? '').waitFor({ state: 'attached' })
  }

  /** Another tab of the same browser; its pictures have names that begin so. */
  async anotherTab(pictures: string): Promise<NotebookPage> {
    return new NotebookPage(await this.page.context().newPage(), this.folder, pictures)
  }

  cell(id: string): Locator {
    const index = this.cells.findIndex((cell) => cell.id === id)
    if (index < 0) throw new Error(`The notebook has no cell '${id}'.`)
    return this.page.locator('.jp-Notebook .jp-Cell').nth(index)
  }

  has(id: string): boolean {
    return this.cells.some((cell) => cell.id === id)
  }

  output(id: string): Locator {
    return this.cell(id).locator('.jp-OutputArea-output')
  }

  /** The kernel's state as the notebook's toolbar shows it. */
  async waitUntilIdle(): Promise<void> {
    await this.waitForState('idle')
  }

  async waitForState(state: 'idle' | 'busy'): Promise<void> {
    await this.page
      .locator(`.jp-NotebookPanel:visible .jp-Notebook-ExecutionIndicator[data-status="${state}"]`)
      .waitFor()
  }

  /** Chooses an item of a menu, by their names. */
  async choose(menu: string, item: string | RegExp): Promise<void> {
    await this.page.getByRole('menuitem', { name: menu, exact: true }).click()
    await this.page.getByRole('menuitem', { name: item }).first().click()
  }

  async select(id: string): Promise<void> {
    const prompt = this.cell(id).locator('.jp-InputPrompt')
    await prompt.scrollIntoViewIfNeeded()
    await prompt.click()
  }

  /** Types into a cell, at its end. */
  async type(id: string, text: string): Promise<void> {
    await this.cell(id).locator('.cm-content').click()
    await this.page.keyboard.press('Control+End')
    // By inserting, so that the editor adds no indentation and no brackets of its own.
    await this.page.keyboard.insertText(text)
  }

  /** Runs a cell as Ctrl+Enter does, and does not wait. */
  async begin(id: string): Promise<void> {
    await this.select(id)
    await this.page.keyboard.press('Control+Enter')
  }

  /** The same, and waits until its number is there. */
  async run(id: string): Promise<void> {
    const before = await this.number(id)
    await this.begin(id)
    // The number of the last run stays until the new one replaces it.
    const again = before === null ? /^\[\d+\]:$/ : new RegExp(`^\\[(?!${before}\\])\\d+\\]:$`)
    await this.cell(id).locator('.jp-InputPrompt', { hasText: again }).waitFor()
  }

  /** Runs what stands above a cell: by the menu, as one would. */
  async runAllAbove(id: string): Promise<void> {
    await this.select(id)
    await this.page.getByRole('menuitem', { name: 'Run', exact: true }).click()
    await this.page.getByRole('menuitem', { name: 'Run All Above Selected Cell' }).click()
  }

  async runAll(): Promise<void> {
    await this.page.getByRole('menuitem', { name: 'Run', exact: true }).click()
    await this.page.getByRole('menuitem', { name: 'Run All Cells', exact: true }).click()
  }

  /** The execution count that a cell shows, or null while it has none. */
  async number(id: string): Promise<number | null> {
    const text = await this.cell(id).locator('.jp-InputPrompt').textContent()
    const found = /^\[(\d+)\]:$/.exec(text ?? '')
    return found ? Number(found[1]) : null
  }

  /** Waits until a cell's output holds the text. */
  async waitForText(id: string, text: string | RegExp): Promise<void> {
    try {
      await this.output(id).filter({ hasText: text }).first().waitFor()
    } catch (cause) {
      const shown = await this.output(id).allInnerTexts()
      throw new Error(`Cell '${id}' does not show ${String(text)}; it shows:\n${shown.join('\n') || 'nothing'}`, {
        cause,
      })
    }
  }

  /** A picture of the window with this cell in its midst; pictures are numbered in the order taken. */
  async picture(name: string, id?: string): Promise<void> {
    if (id !== undefined) {
      await this.cell(id).evaluate((cell: { scrollIntoView(how: object): void }) =>
        cell.scrollIntoView({ block: 'center' }),
      )
    }
    this.taken += 1
    const path = `${this.folder}/${this.prefix}${String(this.taken).padStart(2, '0')}-${name}.png`
    await this.page.screenshot({ path })
  }
}
