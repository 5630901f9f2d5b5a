/** Documents that list what is in the code list exactly that. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { config, packageRoot } from '../src/config.js'
import { INTERNAL_CODES, PUBLIC_CODES } from '../src/errors.js'
import { authLimits } from '../src/gateway/auth/limits.js'
import { executionLimits } from '../src/gateway/executions/limits.js'
import { KERNEL_TRANSITIONS } from '../src/host/kernels/lifecycle.js'
import { TRANSITIONS } from '../src/kernel/lifecycle.js'
import { GUARD_TRANSITIONS } from '../src/kernel/guard.js'
import { SNAPSHOT_TRANSITIONS } from '../src/kernel/snapshots.js'
import { TRANSACTION_TRANSITIONS } from '../src/kernel/transactions.js'
import { TRANSITIONS as POOLED } from '../src/pool/lifecycle.js'
import { poolLimits } from '../src/pool/limits.js'
import { settingsReference } from '../src/settings/reference.js'
import { storeLimits } from '../src/store/limits.js'
import { apiReference } from './support/api-reference.js'

function doc(name: string): string {
  return readFileSync(join(packageRoot, 'docs', name), 'utf8')
}

/** Cells of the tables in a section; the header and the line under it are left out. */
function rows(text: string, heading?: string): string[][] {
  const section = heading === undefined ? text : (text.split(`## ${heading}\n`)[1] ?? '').split('\n## ')[0]
  const tables = (section ?? '').split('\n').filter((line) => line.startsWith('|'))
  return tables
    .filter((line, i) => !/^\|[\s:|-]+\|$/.test(line) && !/^\|[\s:|-]+\|$/.test(tables[i + 1] ?? ''))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
}

/** Moves of the state diagrams in a text. */
function drawnIn(text: string): string[] {
  return [...text.matchAll(/^ +(\w+) --> (\w+): (\w+)$/gm)]
    .map(([, from, to, cue]) => `${from} ${cue} ${to}`)
    .toSorted()
}

function movesOf(table: Readonly<Record<string, Readonly<Record<string, string>>>>): string[] {
  const moves = Object.entries(table).flatMap(([from, cues]) =>
    Object.entries(cues).map(([cue, to]) => `${from} ${cue} ${to}`),
  )
  return moves.toSorted()
}

function codesIn(heading: string): string[] {
  return rows(doc('errors.md'), heading).map(([code]) => code?.replaceAll('`', '') ?? '')
}

describe('the documents', () => {
  test('list every public error code, and no other', () => {
    expect(codesIn('Public codes').toSorted()).toEqual([...PUBLIC_CODES].toSorted())
  })

  test('list every internal error code, and no other', () => {
    expect(codesIn('Internal codes').toSorted()).toEqual([...INTERNAL_CODES].toSorted())
  })

  test('draw the life of a kernel as the table has it', () => {
    const [kernel = '', transaction = '', snapshot = '', guard = ''] = doc('lifecycle.md').split('\n## The life of a ')
    expect(drawnIn(kernel)).toEqual(movesOf(TRANSITIONS))
    expect(drawnIn(transaction)).toEqual(movesOf(TRANSACTION_TRANSITIONS))
    expect(drawnIn(snapshot)).toEqual(movesOf(SNAPSHOT_TRANSITIONS))
    expect(drawnIn(guard)).toEqual(movesOf(GUARD_TRANSITIONS))
  })

  test('draw and explain the life of a gateway’s kernel as the table has it', () => {
    expect(drawnIn(doc('gateway.md'))).toEqual(movesOf(KERNEL_TRANSITIONS))
    const explained = rows(doc('gateway.md'), 'The life of a kernel').map(([name]) => name?.replaceAll('`', ''))
    expect(explained.toSorted()).toEqual(Object.keys(KERNEL_TRANSITIONS).toSorted())
  })

  test('explain every phase and every cue', () => {
    const explained = rows(doc('lifecycle.md')).map(([name]) => name?.replaceAll('`', ''))
    const cues = new Set(Object.values(TRANSITIONS).flatMap((each) => Object.keys(each)))
    expect(explained.toSorted()).toEqual([...Object.keys(TRANSITIONS), ...cues].toSorted())
  })

  test('draw and explain the life of a pooled worker as its table has it', () => {
    expect(drawnIn(doc('pool.md'))).toEqual(movesOf(POOLED))
    const explained = rows(doc('pool.md'), 'The life of a worker').map(([name]) => name?.replaceAll('`', ''))
    const cues = new Set(Object.values(POOLED).flatMap((each) => Object.keys(each)))
    expect(explained.toSorted()).toEqual([...Object.keys(POOLED), ...cues].toSorted())
  })

  test('list every limit with its value', () => {
    const listed = rows(doc('limits.md'), 'Limits').map(([name, value]) => `${name?.replaceAll('`', '')} ${value}`)
    expect(listed.toSorted()).toEqual(
      limitsOf({
        ...config,
        pool: poolLimits,
        store: storeLimits,
        auth: authLimits,
        executions: executionLimits,
      }).toSorted(),
    )
  })

  test('list every setting as the table has it', () => {
    const [, listed = ''] = doc('configuration.md').split('<!-- settings -->')
    expect(rows(listed)).toEqual(rows(settingsReference()))
  })

  test('describe the API as the gateway does', async () => {
    const { format, resolveConfig } = await import('prettier')
    const path = join(packageRoot, 'docs', 'api.md')
    const made = await format(await apiReference(), { ...(await resolveConfig(path)), parser: 'markdown' })
    expect(doc('api.md')).toBe(made)
  })

  test('name a proof that exists for every feature', () => {
    const wrong = rows(doc('features.md')).flatMap(([id, proof = '']) => {
      const [, file = '', name = ''] = /^`([^`]+)`\s*(.*)$/.exec(proof) ?? []
      const path = join(packageRoot, file)
      if (file === '' || !existsSync(path)) return [`${id}: there is no ${file || proof}`]
      return readFileSync(path, 'utf8').includes(name) ? [] : [`${id}: ${file} has no test ${name}`]
    })
    expect(wrong).toEqual([])
  })

  test('name a test that exists for everything of ipykernel that is here', () => {
    const listed = rows(doc('ipykernel.md'))
    const wrong = listed.flatMap(([name, , proof = '']) => {
      const tests = [...proof.matchAll(/`(test_\w+)`/g)].map(([, test]) => test ?? '')
      const [, other] = /of `(test\/[^`]+)`/.exec(proof) ?? []
      const text = readFileSync(join(packageRoot, other ?? 'test/clients/test_ipykernel.py'), 'utf8')
      return tests.length > 0 && tests.every((test) => text.includes(`def ${test}(`)) ? [] : [name]
    })
    expect(listed.length).toBeGreaterThan(20)
    expect(wrong).toEqual([])
  })

  test('keep the architecture short, and name tests that exist', () => {
    const architecture = doc('architecture.md')
    expect(architecture.split('\n').length).toBeLessThanOrEqual(201)
    const invariants = architecture.split('\n- Invariant: ').slice(1)
    const unproved = invariants.filter((text) => {
      const [, file] = /`(test\/[^`]+)`/.exec(text) ?? []
      return file === undefined || !existsSync(join(packageRoot, file))
    })
    expect(unproved).toEqual([])
  })

  test('name a test that exists for every lesson of security', () => {
    const lessons = rows(doc('security.md'), 'Lessons of others')
    const wrong = lessons.flatMap(([advisory, , , proof = '']) => {
      const [, file = '', name = ''] = /^`([^`]+)`\s*(.+)$/.exec(proof) ?? []
      const path = join(packageRoot, file)
      return file !== '' && existsSync(path) && readFileSync(path, 'utf8').includes(name)
        ? []
        : [`${advisory}: ${proof}`]
    })
    expect(lessons.length).toBeGreaterThan(20)
    expect(wrong).toEqual([])
  })

  test('link to documents that exist', () => {
    const names = [
      'architecture',
      'configuration',
      'gateway',
      'errors',
      'features',
      'gateway',
      'glossary',
      'ipykernel',
      'lifecycle',
      'limits',
      'pool',
      'protocol',
      'transactions',
      'websockets',
      'security',
      'using-gateway',
      'style',
      'contributing',
      'changelog',
    ]
    const broken = names.flatMap((name) =>
      [...doc(`${name}.md`).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
        .map(([, target]) => target ?? '')
        .filter((target) => !existsSync(join(packageRoot, 'docs', target)))
        .map((target) => `${name}.md: ${target}`),
    )
    expect(broken).toEqual([])
  })
})

/** `name value` of every leaf; versions as they are written. */
function limitsOf(values: object, prefix = ''): string[] {
  return Object.entries(values).flatMap(([name, value]: [string, unknown]) => {
    if (Array.isArray(value)) return [`${prefix}${name} ${value.join('.')}`]
    if (typeof value === 'object' && value !== null) return limitsOf(value, `${prefix}${name}.`)
    return [`${prefix}${name} ${String(value)}`]
  })
}
