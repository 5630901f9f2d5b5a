/** A crash after any step that changes the disk leaves what was there, and what was being stored whole or not at all. */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('./crash-child.js', import.meta.url))

test('a crash after any step of storing, importing, removing and collecting costs no other checkpoint', async () => {
  const child = spawn(process.execPath, [CHILD], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const code = await new Promise((resolve) => child.on('close', resolve))
  const results = said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; steps: number; faults: string[] })
  expect(results.map(({ name, faults }) => [name, faults])).toEqual([
    ['seal', []],
    ['import', []],
    ['collect', []],
    ['remove', []],
  ])
  const steps = Object.fromEntries(results.map(({ name, steps: count }) => [name, count]))
  expect(steps['seal']).toBeGreaterThan(15)
  expect(steps['collect']).toBeGreaterThan(15)
  expect(code).toBe(0)
}, 120_000)
