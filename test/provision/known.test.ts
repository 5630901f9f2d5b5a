import { mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recallWorkerPython, rememberWorkerPython } from '../../src/provision/known.js'

describe('what is known about a Python', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'savepoint-known-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const answer = { python: '/venv/bin/python', stack: '/data/py/key/site' }
  const settings = () => ({ python: '/venv/bin/python', dataDir: folder })

  test('is nothing at first', () => {
    expect(recallWorkerPython(settings(), {})).toBeNull()
  })

  test('is recalled as it was', () => {
    rememberWorkerPython(settings(), answer, [], {})
    expect(recallWorkerPython(settings(), {})).toEqual(answer)
    expect(recallWorkerPython({ ...settings(), python: null }, {})).toBeNull()
    expect(recallWorkerPython({ ...settings(), python: '/another' }, {})).toBeNull()
  })

  test('is forgotten when a folder that it imports from changes, appears or goes', () => {
    const [there, absent] = [join(folder, 'there'), join(folder, 'absent')]
    writeFileSync(there, '')
    rememberWorkerPython(settings(), answer, [there, absent], {})
    expect(recallWorkerPython(settings(), {})).toEqual(answer)
    writeFileSync(absent, '')
    expect(recallWorkerPython(settings(), {})).toBeNull()
    rmSync(absent)
    expect(recallWorkerPython(settings(), {})).toEqual(answer)
    utimesSync(there, 1, 1)
    expect(recallWorkerPython(settings(), {})).toBeNull()
  })

  test('depends on the variables that bend imports', () => {
    rememberWorkerPython(settings(), answer, [], { PYTHONPATH: '/mine' })
    expect(recallWorkerPython(settings(), {})).toBeNull()
    expect(recallWorkerPython(settings(), { PYTHONPATH: '/mine', LANG: 'C' })).toEqual(answer)
  })

  test("of one environment does not take the place of another's, and the oldest goes", () => {
    for (let n = 0; n <= 8; n++) rememberWorkerPython(settings(), answer, [], { PYTHONPATH: `/mine/${n}` })
    const recalled = (n: number) => recallWorkerPython(settings(), { PYTHONPATH: `/mine/${n}` })
    expect([8, 7, 1].map(recalled)).toEqual([answer, answer, answer])
    expect(recalled(0)).toBeNull()
  })

  test('of the private Python does not depend on them', () => {
    const provisioned = { ...settings(), python: null }
    rememberWorkerPython(provisioned, answer, [], { PYTHONPATH: '/mine' })
    expect(recallWorkerPython(provisioned, {})).toEqual(answer)
  })

  test('is not believed when its file is damaged', () => {
    rememberWorkerPython(settings(), answer, [], {})
    const known = join(folder, 'py', 'known')
    const file = join(known, readdirSync(known)[0] ?? '')
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, 40))
    expect(recallWorkerPython(settings(), {})).toBeNull()
  })

  test('a folder that cannot be written costs no more than the memory', () => {
    writeFileSync(join(folder, 'file'), '')
    const blocked = { ...settings(), dataDir: join(folder, 'file') }
    expect(() => rememberWorkerPython(blocked, answer, [], {})).not.toThrow()
    expect(recallWorkerPython(blocked, {})).toBeNull()
  })
})
