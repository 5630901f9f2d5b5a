/**
 * JupyterLab whose kernels a real gateway runs: `jupyter lab --gateway-url=URL`, with our connection class and without.
 *
 *   node build/test/browser/gateway.js [FOLDER FOR SCREENSHOTS]
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Locator } from 'playwright-core'
import { runNotebook } from './first-notebook.js'
import { startLabWithGateway, type LabWithGateway } from './gateway-lab.js'
import { inLabOf } from './in-lab.js'
import type { Lab } from './lab.js'
import { PATIENCE_MS, type NotebookPage } from './notebook-page.js'
import { assert, type Report } from './report.js'
import { joinByConsole } from './terminal.js'
import { restarting, running } from './working-day.js'

type Models = readonly { readonly id: string; readonly connections: number }[]

async function remote(report: Report, lab: LabWithGateway, notebook: NotebookPage): Promise<void> {
  await runNotebook(report, lab.stock, notebook)
  await withoutBuffers(report, lab, notebook)
  await report.check('with our connection class a notebook opens', () => notebook.open(lab, 'everyday'))
  await running(report, notebook)
  await restarting(report, notebook)
  await withBuffers(report, lab, notebook)
  await twoTabs(report, lab, notebook)
  await consoleOfJupyter(report, lab, notebook)
  await reloaded(report, lab, notebook)
  await launcher(report, lab, notebook)
  await ending(report, lab, notebook)
}

async function withoutBuffers(report: Report, { stock }: LabWithGateway, notebook: NotebookPage): Promise<void> {
  await report.check(
    'without our connection class a picture says what is missing, and the notebook goes on',
    async () => {
      await notebook.open(stock, 'shared')
      await notebook.run('picture')
      await notebook.waitForText('picture', 'savepoint-gateway-client')
      await notebook.waitUntilIdle()
      await notebook.run('said')
      await notebook.waitForText('said', 'said by the notebook')
      await notebook.picture('without-buffers', 'picture')
    },
  )
  await report.check('a kernel works in the folder of its notebook', async () => {
    await notebook.run('place')
    await notebook.waitForText('place', 'beside it: True')
  })
}

async function withBuffers(report: Report, lab: LabWithGateway, notebook: NotebookPage): Promise<void> {
  await report.check('a picture of bytes is shown', async () => {
    await notebook.open(lab, 'shared')
    await notebook.run('picture')
    const image = notebook.output('picture').locator('img')
    await image.waitFor()
    await notebook.page.waitForFunction(
      `[...document.querySelectorAll('.jp-OutputArea-output img')].some((each) => each.naturalWidth === 80)`,
    )
    await notebook.picture('picture', 'picture')
  })
  await report.check('a file that is chosen reaches the kernel whole', async () => {
    await notebook.run('upload')
    const content = Buffer.from(Array.from({ length: 70_000 }, (_, at) => at % 256))
    const file = { name: 'bytes.bin', mimeType: 'application/octet-stream', buffer: content }
    const [chooser] = await Promise.all([
      notebook.page.waitForEvent('filechooser'),
      notebook.output('upload').locator('.jupyter-button').click(),
    ])
    await chooser.setFiles(file)
    const sum = content.reduce((one, other) => one + other, 0)
    await notebook.waitForText('upload', `bytes.bin has 70000 bytes, their sum is ${sum}`)
    await notebook.picture('upload', 'upload')
  })
}

async function twoTabs(report: Report, lab: LabWithGateway, notebook: NotebookPage): Promise<void> {
  const other = await notebook.anotherTab('other-tab-')
  await report.check('a second tab has the same kernel, with its variables', async () => {
    await other.open(lab, 'shared')
    await notebook.begin('waits')
    await notebook.waitForText('waits', 'it has begun')
    await other.waitForState('busy')
    goOn(lab)
    await notebook.waitForText('waits', 'it has ended')
    await other.waitUntilIdle()
    await other.run('told')
    await other.waitForText('told', 'it has ended')
  })
  await report.check("a console in one tab shows what the other tab's cells print", async () => {
    const { page } = other
    await other.cell('told').click({ button: 'right' })
    await page.getByRole('menuitem', { name: 'New Console for Notebook' }).click()
    const console = page.locator('.jp-CodeConsole')
    const prompt = console.locator('.jp-CodeConsole-promptCell .cm-content')
    await prompt.click()
    await page.keyboard.insertText('print(told, "says the console")')
    await page.keyboard.press('Shift+Enter')
    await console.locator('.jp-OutputArea-output', { hasText: 'it has ended says the console' }).waitFor()
    await console.locator('.jp-CodeConsole-content').click({ button: 'right' })
    await page.getByRole('menuitem', { name: 'Show All Kernel Activity' }).click()
    await notebook.run('said')
    await console.locator('.jp-OutputArea-output', { hasText: 'said by the notebook' }).waitFor()
    await other.picture('console')
  })
  await other.page.close()
}

async function consoleOfJupyter(report: Report, lab: LabWithGateway, notebook: NotebookPage): Promise<void> {
  await report.check('jupyter console joins the kernel, and both see what the other does', async () => {
    const { connection_file: file } = (await lab.gateway.ask(
      'PUT',
      `/api/kernels/${await kernelOf(lab)}/connection`,
      {},
    )) as { connection_file: string }
    const console = await joinByConsole(file)
    try {
      await notebook.run('said')
      await console.waitFor('said by the notebook')
      await console.enter('told = "by the " + "console"; print(told)')
      await console.waitFor('by the console')
      await notebook.run('told')
      await notebook.waitForText('told', 'by the console')
    } finally {
      await console.close()
    }
  })
}

async function reloaded(report: Report, lab: LabWithGateway, notebook: NotebookPage): Promise<void> {
  await report.check('a page that is loaded anew while a cell runs finds its kernel, and waits for it', async () => {
    await notebook.begin('waits')
    await notebook.waitForText('waits', 'it has begun')
    await notebook.reload()
    await notebook.picture('reloaded', 'waits')
    await notebook.waitForState('busy')
    goOn(lab)
    await notebook.waitUntilIdle()
    await notebook.run('told')
    await notebook.waitForText('told', 'it has ended')
    await notebook.picture('reloaded-afterwards', 'told')
  })
}

async function launcher(report: Report, lab: LabWithGateway, notebook: NotebookPage): Promise<void> {
  const { page } = notebook
  await report.check('the launcher offers the kernel of the gateway, with its logo', async () => {
    await notebook.choose('File', 'New Launcher')
    const card = page.locator('.jp-LauncherCard[data-category="Notebook"]')
    const logo = card.locator('img')
    await logo.waitFor()
    await page.waitForFunction(
      `document.querySelector('.jp-LauncherCard[data-category="Notebook"] img').naturalWidth > 0`,
    )
    const cards = await card.count()
    assert(cards === 1, `there are ${cards} of them`)
    // The notebook may have come to the front again, since the page had not done with its reload.
    await page.locator('.lm-DockPanel-tabBar .lm-TabBar-tab', { hasText: 'Launcher' }).click()
    await notebook.picture('launcher')
    await Promise.all([notebook.greeting(), clicked(card)])
    await notebook.waitUntilIdle()
    const cell = page.locator('.jp-NotebookPanel:visible .jp-Cell').first()
    await cell.locator('.cm-content').click()
    await page.keyboard.insertText('print("a new", "kernel")')
    await page.keyboard.press('Control+Enter')
    await cell.locator('.jp-OutputArea-output', { hasText: 'a new kernel' }).waitFor()
    const models = (await lab.gateway.ask('GET', '/api/kernels')) as readonly { name: string }[]
    assert(
      models.some(({ name }) => name === 'python3'),
      `there are kernels ${models.map(({ name }) => name).join(' ')}`,
    )
    await notebook.picture('launched')
  })
}

/** A click, and another one if the launcher drew itself anew at that moment, and the first one hit nothing. */
async function clicked(card: Locator): Promise<void> {
  await card.click()
  try {
    await card.waitFor({ state: 'detached', timeout: PATIENCE_MS / 6 })
  } catch {
    await card.click()
  }
}

async function ending(report: Report, lab: LabWithGateway, notebook: NotebookPage): Promise<void> {
  await report.check('the menu shuts a kernel down, and it is gone from the gateway', async () => {
    const before = await kernels(lab)
    await notebook.choose('Kernel', 'Shut Down Kernel')
    await notebook.page.locator('.jp-NotebookPanel:visible .jp-Toolbar-kernelName', { hasText: 'No Kernel' }).waitFor()
    const after = await kernels(lab)
    assert(after.length === before.length - 1, `${before.length} kernels before, ${after.length} after`)
    await notebook.picture('shut-down')
  })
  await report.check('the menu shuts down all kernels of this JupyterLab, and none of another one', async () => {
    await notebook.choose('Kernel', 'Shut Down All Kernels')
    await notebook.page.locator('.jp-Dialog').getByRole('button', { name: 'Shut Down All' }).click()
    await notebook.page.locator('.jp-Dialog').waitFor({ state: 'detached' })
    const deadline = Date.now() + PATIENCE_MS
    const ofOther = await kernelsOf(lab.stock)
    assert(ofOther.length > 0, 'the other JupyterLab has no kernels')
    for (;;) {
      const left = (await kernels(lab)).map(({ id }) => id).toSorted()
      if (left.join(' ') === ofOther.join(' ')) return
      assert(Date.now() < deadline, `there are ${left.join(' ')}; of the other are ${ofOther.join(' ')}`)
    }
  })
}

/** Those that a Jupyter server says are its own. */
async function kernelsOf({ url, token }: Lab): Promise<readonly string[]> {
  const answer = await fetch(`${url}api/kernels?token=${token}`)
  return ((await answer.json()) as Models).map(({ id }) => id).toSorted()
}

async function kernels({ gateway }: LabWithGateway): Promise<Models> {
  return (await gateway.ask('GET', '/api/kernels')) as Models
}

/** The kernel that a page is connected with. */
async function kernelOf(lab: LabWithGateway): Promise<string> {
  const connected = (await kernels(lab)).filter(({ connections }) => connections > 0)
  const [kernel] = connected
  assert(kernel !== undefined && connected.length === 1, `${connected.length} kernels are connected`)
  return kernel.id
}

/** Lets the cell `waits` end. */
function goOn({ root }: LabWithGateway): void {
  writeFileSync(join(root, 'go-on'), '')
}

process.exitCode = await inLabOf(startLabWithGateway, remote, 'gateway')
