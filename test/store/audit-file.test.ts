/** The file of the audit log, by force. */

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAudit } from '../../src/main/audit.js'
import { readSettings } from '../../src/settings.js'
import { AuditFile } from '../../src/store/audit/audit-file.js'

let home: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'savepoint-audit-'))
})

afterEach(() => rmSync(home, { recursive: true, force: true }))

function newFile(limits = { fileBytesMax: 1_000_000, filesMax: 3 }): AuditFile {
  return new AuditFile(join(home, 'audit'), limits, () => new Date())
}

describe('the file of the audit log', () => {
  test('begins another one when it is full, and keeps the newest', () => {
    let at = Date.UTC(2026, 0, 1)
    const file = new AuditFile(join(home, 'audit'), { fileBytesMax: 100, filesMax: 3 }, () => new Date((at += 1_000)))
    for (let i = 0; i < 60; i += 1) file.add(`{"line":${i},"padding":"${'x'.repeat(20)}"}`)
    const names = readdirSync(join(home, 'audit')).toSorted()
    expect(names.length).toBeLessThanOrEqual(3)
    const kept = names.flatMap((name) =>
      readFileSync(join(home, 'audit', name), 'utf8')
        .trim()
        .split('\n'),
    )
    expect(kept.filter(Boolean).at(-1)).toContain('"line":59')
    for (const name of names) expect(statSync(join(home, 'audit', name)).mode & 0o777).toBe(0o600)
    file.close()
  })

  test('is made anew when somebody removed or rotated it, and shared with other processes', () => {
    const [one, two] = [newFile(), newFile()]
    one.add('{"line":1}')
    two.add('{"line":2}')
    unlinkSync(join(home, 'audit', 'audit.jsonl'))
    one.add('{"line":3}')
    two.add('{"line":4}')
    rmSync(home, { recursive: true })
    two.add('{"line":5}')
    expect(readFileSync(join(home, 'audit', 'audit.jsonl'), 'utf8')).toBe('{"line":5}\n')
    one.close()
    two.close()
  })

  test('that cannot be written is told once and counted, and goes on when it can', () => {
    const values = { ...readSettings({}).values, 'audit.enabled': true }
    const told: string[] = []
    let lost = 0
    const audit = openAudit(
      values,
      home,
      (_level, event) => void told.push(event),
      () => (lost += 1),
    )
    const act = (): void => audit?.observe({ what: 'kernel_ended', kernel: 'k', owner: 'ann' })
    // A file where the folder is to be: nothing can be made below it.
    writeFileSync(join(home, 'audit'), '')
    act()
    act()
    expect([told, lost]).toEqual([['audit_failed'], 2])
    unlinkSync(join(home, 'audit'))
    act()
    const text = readFileSync(join(home, 'audit', 'audit.jsonl'), 'utf8')
    expect(
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as object),
    ).toMatchObject([
      { action: 'lost', lines: 2 },
      { action: 'end', kernel: 'k' },
    ])
    expect(told).toEqual(['audit_failed', 'audit_recovered'])
    audit?.close()
  })

  test('is not written through a link', () => {
    writeFileSync(join(home, 'other'), '')
    mkdirSync(join(home, 'audit'))
    symlinkSync('../other', join(home, 'audit', 'audit.jsonl'))
    const file = newFile()
    expect(() => file.add('{"line":1}')).toThrow('ELOOP')
    expect(readFileSync(join(home, 'other'), 'utf8')).toBe('')
    file.close()
  })
})
