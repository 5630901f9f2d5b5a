import type { WorkersOptions } from '../../src/worker/options.js'
import { Workers } from '../../src/worker/workers.js'
import type { Backing, WorkersListener } from '../../src/worker/backing.js'
import { FakeClock } from '../fakes/clock.js'

test('workers that were never asked for have ended as soon as they are to end', () => {
  const told: string[] = []
  const backing = { abandon: () => told.push('abandoned'), stop: () => told.push('asked to stop') }
  const listener = { stopped: () => told.push('stopped') }
  const options = { clock: new FakeClock(), limits: {} }
  // Of what these need no more is used.
  const workers = new Workers(
    options as unknown as WorkersOptions,
    backing as unknown as Backing,
    listener as unknown as WorkersListener,
  )
  workers.stop(false)
  expect(told).toEqual(['abandoned', 'stopped'])
})
