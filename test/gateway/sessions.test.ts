import { Sessions } from '../../src/gateway/sessions.js'
import { FakeKernels } from '../fakes/kernels.js'
import { requestFor } from '../host/kernels/listener.js'

test('an owner has so many sessions at most, and room again when a kernel ends', async () => {
  const kernels = new FakeKernels(['python3'])
  const kernel = await kernels.start(requestFor({ owner: 'ann' }))
  const sessions = new Sessions(kernels, null, 2)
  const add = (path: string): void => {
    sessions.checkRoom('ann')
    sessions.add({ owner: 'ann', path, name: '', type: 'notebook', kernelId: kernel.id })
  }
  add('a')
  add('b')
  expect(() => add('c')).toThrow(expect.objectContaining({ code: 'quota_exceeded' }))
  sessions.checkRoom('bob')
  await kernel.shutdown()
  add('c')
})
