import { enter, newActivity, note, type Activity } from '../../../src/host/kernels/activity.js'
import { bytes } from '../../support/messages.js'

/** Says things in order, a millisecond apart; what is known after each. */
function watch(...said: readonly (readonly [type: string, parent: string | null, state?: string])[]): string[] {
  const activity = newActivity(0)
  return said.map(([type, parent, state], i) => {
    say(activity, i + 1, type, parent, state)
    return `${activity.executionState} ${activity.lastActivity}`
  })
}

function say(activity: Activity, now: number, type: string, parent: string | null, state?: string): void {
  const [msg_type, msg_id = '1'] = parent?.split('#') ?? []
  const header = parent === null ? {} : { msg_type, msg_id }
  note(activity, type, bytes(header), bytes(state === undefined ? {} : { execution_state: state }), now)
}

describe('the activity of a kernel', () => {
  test('begins with starting, and is idle at the first other sign of life, which does not count', () => {
    expect(watch(['status', null, 'starting'], ['status', 'kernel_info_request', 'busy'])).toEqual([
      'starting 1',
      'idle 1',
    ])
  })

  test('is busy from the busy to the idle of what counts, and everything then is activity', () => {
    expect(
      watch(
        ['status', 'execute_request', 'busy'],
        ['status', 'kernel_info_request', 'busy'],
        ['stream', 'kernel_info_request'],
        ['status', 'kernel_info_request', 'idle'],
        ['status', 'execute_request', 'idle'],
        ['stream', 'kernel_info_request'],
        ['stream', 'execute_request'],
      ),
    ).toEqual(['busy 1', 'busy 2', 'busy 3', 'busy 4', 'idle 5', 'idle 5', 'idle 7'])
  })

  test('is not idle while one of several requests is being served', () => {
    const states = watch(
      ['status', 'execute_request#1', 'busy'],
      ['status', 'complete_request#2', 'busy'],
      ['status', 'complete_request#2', 'idle'],
      ['status', 'execute_request#1', 'idle'],
    )
    expect(states.map((each) => each.split(' ')[0])).toEqual(['busy', 'busy', 'busy', 'idle'])
  })

  test('counts what no request asked for, and messages of comms', () => {
    expect(
      watch(['status', 'kernel_info_request', 'idle'], ['stream', null], ['comm_msg', 'kernel_info_request']),
    ).toEqual(['idle 0', 'idle 2', 'idle 3'])
  })

  test('does not take the last words of a process for those of the next', () => {
    const activity = newActivity(0)
    say(activity, 1, 'status', 'execute_request', 'busy')
    enter(activity, 'restarting', 2)
    say(activity, 3, 'status', 'execute_request', 'idle')
    expect(activity.executionState).toBe('restarting')
    enter(activity, 'starting', 4)
    say(activity, 5, 'status', 'kernel_info_request', 'idle')
    expect(activity).toMatchObject({ executionState: 'idle', lastActivity: 4 })
  })
})
