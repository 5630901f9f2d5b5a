/** What a person does all day with the notebook `everyday`; each of these needs it open. */

import type { NotebookPage } from './notebook-page.js'
import { assert, type Report } from './report.js'

export async function writing(report: Report, notebook: NotebookPage): Promise<void> {
  const { page } = notebook
  await report.check('Tab completes what is typed', async () => {
    await notebook.type('complete', 'import os\nos.getcw')
    // JupyterLab joins its completer to a cell some time after the cell was entered; until then the key indents.
    await notebook.cell('complete').locator('.jp-mod-completer-enabled').waitFor()
    const item = page.locator('.jp-Completer .jp-Completer-item', { hasText: 'getcwdb' })
    // An answer that takes over a second, as the first may on a busy machine, is dropped: one presses the key again.
    for (let times = 0; times < 5 && !(await item.isVisible()); times += 1) {
      await page.keyboard.press('Tab')
      await item.waitFor({ timeout: 5000 }).catch(() => undefined)
    }
    await item.waitFor()
    await notebook.picture('completion')
    await page.keyboard.press('Enter')
    await notebook.cell('complete').locator('.cm-content', { hasText: 'os.getcwd' }).waitFor()
  })
  await report.check('Shift+Tab shows what a function is', async () => {
    await notebook.type('tooltip', 'sorted(')
    await page.keyboard.press('Shift+Tab')
    await page.locator('.jp-Tooltip', { hasText: 'Return a new list containing all items' }).waitFor()
    await notebook.picture('tooltip')
    await page.keyboard.press('Escape')
  })
}

export async function running(report: Report, notebook: NotebookPage): Promise<void> {
  const { page } = notebook
  await report.check('a long output comes whole', async () => {
    await notebook.run('long')
    await notebook.waitUntilIdle()
    await notebook.waitForText('long', 'line 19999 of a long output')
    const lines = await notebook.output('long').first().locator('pre').innerText()
    assert(lines.trimEnd().split('\n').length === 20_000, `${lines.split('\n').length} lines are shown`)
    await notebook.picture('long', 'long')
  })
  await report.check('the button interrupts a loop', async () => {
    await notebook.select('loop')
    await page.keyboard.press('Control+Enter')
    await notebook.waitForText('loop', 'started')
    await page
      .locator(
        '.jp-NotebookPanel:visible [data-command="notebook:interrupt-kernel"], .jp-NotebookPanel:visible [data-jp-item-name="interrupt"] button, .jp-NotebookPanel:visible [data-jp-item-name="interrupt"] jp-button',
      )
      .first()
      .click()
    await notebook.waitForText('loop', 'KeyboardInterrupt')
    await notebook.waitUntilIdle()
    await notebook.run('after-interrupt')
    await notebook.waitForText('after-interrupt', 'still here')
    await notebook.picture('interrupted', 'loop')
  })
  await report.check('displays are updated and outputs replaced', async () => {
    await notebook.run('replaced')
    await notebook.waitUntilIdle()
    const shown = await notebook.output('replaced').allInnerTexts()
    assert(shown.join('|').trim() === 'pass 4', `shown: ${shown.join('|')}`)
  })
}

export async function widgets(report: Report, notebook: NotebookPage): Promise<void> {
  const { page } = notebook
  const gallery = notebook.output('gallery')
  await report.check('every control of the gallery is shown', async () => {
    await notebook.run('gallery')
    await gallery.locator('.widget-slider').first().waitFor()
    for (const name of ['.widget-dropdown', '.widget-radio', '.widget-colorpicker', '.widget-tab', '.widget-button']) {
      await gallery.locator(name).first().waitFor()
    }
    await notebook.picture('gallery', 'gallery')
  })
  await report.check('every control tells the kernel, and hears from it', async () => {
    const heard = (text: string): Promise<void> => notebook.waitForText('gallery', text)
    const handle = gallery.locator('.noUi-handle').first()
    await handle.focus()
    await handle.press('ArrowRight')
    await heard('value is 4')
    await gallery.locator('.widget-text input[type="number"]').first().fill('12')
    await page.keyboard.press('Enter')
    await heard('value is 12')
    await gallery.locator('.widget-text input[type="text"]').first().fill('xyz')
    await heard('value is xyz')
    await gallery.locator('.widget-textarea textarea').fill('other')
    await heard('value is other')
    await gallery.locator('.widget-checkbox input').check()
    await heard('value is True')
    await gallery.locator('.widget-dropdown select').selectOption('blue')
    await heard('value is blue')
    await gallery.locator('.widget-radio input').nth(1).check()
    await heard('value is coffee')
    await gallery.locator('.widget-select-multiple select').selectOption(['a', 'c'])
    await heard("value is ('a', 'c')")
    await gallery.locator('.widget-datepicker input').fill('2024-02-29')
    await heard('value is 2024-02-29')
    await gallery.getByRole('button', { name: 'press me' }).click()
    await heard('pressed')
    await notebook.picture('gallery-used', 'gallery')
  })
  await report.check('linked widgets and interact follow', async () => {
    await notebook.run('linked')
    const output = notebook.output('linked')
    const handle = output.locator('.noUi-handle').first()
    await handle.focus()
    for (let step = 0; step < 3; step += 1) await handle.press('ArrowRight')
    await page.waitForFunction(
      `[...document.querySelectorAll('.jp-OutputArea-output input[type=number]')].some((each) => each.value === '3')`,
    )
    await output.filter({ hasText: '9' }).first().waitFor()
    await notebook.picture('linked', 'linked')
  })
}

export async function restarting(report: Report, notebook: NotebookPage): Promise<void> {
  const { page } = notebook
  await report.check('the button restarts the kernel, which has forgotten', async () => {
    await notebook.run('remember')
    await notebook.waitForText('remember', '42')
    const restart = async (): Promise<void> => {
      await page.getByRole('menuitem', { name: 'Kernel', exact: true }).click()
      await page
        .getByRole('menuitem', { name: /^Restart Kernel/ })
        .first()
        .click()
      await page.locator('.jp-Dialog').getByRole('button', { name: 'Confirm Kernel Restart' }).click()
    }
    await Promise.all([notebook.greeting(), restart()])
    await notebook.waitUntilIdle()
    await notebook.run('forgotten')
    await notebook.waitForText('forgotten', 'False')
    assert((await notebook.number('forgotten')) === 1, 'the count did not begin anew')
    await notebook.picture('restarted', 'forgotten')
  })
}
