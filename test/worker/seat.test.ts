import { seatIn, undoFolderOf } from '../../src/worker/seat.js'

describe('the folder for copies of files', () => {
  test('is named after the output pipe, as the worker names it', () => {
    expect(undoFolderOf(seatIn('/run/k.1', 'w7'))).toBe('/run/k.1/w7.undo')
    expect(undoFolderOf({ place: 'k', stdout: '/run/k.1/stdout', stderr: '', interrupts: '' })).toBe(
      '/run/k.1/stdout.undo',
    )
  })
})
