import { existsSync } from 'node:fs'
import { config, places, resolveSettings } from '../src/config.js'

describe('settings', () => {
  const env = { HOME: '/home/ada', SAVEPOINT_PYTHON: '/env/python', SAVEPOINT_DATA_DIR: '/env/data' }

  test('a flag wins over the environment, and that over the default', () => {
    expect(resolveSettings({ python: '/flag/python', dataDir: '/flag/data' }, env)).toEqual({
      python: '/flag/python',
      dataDir: '/flag/data',
    })
    expect(resolveSettings({}, env)).toEqual({ python: '/env/python', dataDir: '/env/data' })
    expect(resolveSettings({}, { HOME: '/home/ada' })).toEqual({
      python: null,
      dataDir: '/home/ada/.local/share/savepoint',
    })
  })

  test('an empty variable counts as not set', () => {
    const empty = { HOME: '/home/ada', SAVEPOINT_PYTHON: '', SAVEPOINT_DATA_DIR: '', XDG_DATA_HOME: '/xdg' }
    expect(resolveSettings({}, empty)).toEqual({ python: null, dataDir: '/xdg/savepoint' })
  })
})

test('limits cannot be changed at run time', () => {
  expect(Object.isFrozen(config)).toBe(true)
})

test('what is shipped beside the compiled files is where it is looked for', () => {
  for (const place of [
    places.python,
    places.requirementsLock,
    places.kernelspec,
    places.trialClient,
    places.manifest,
  ]) {
    expect(existsSync(place)).toBe(true)
  }
})
