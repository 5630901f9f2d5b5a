import { openStage } from './stage.js'
import { requestFor } from './listener.js'

test('nobody has more kernels than one may have, those included that are still starting', async () => {
  const stage = await openStage({ kernelsPerOwnerMax: 2 })
  try {
    const started = await Promise.allSettled([1, 2, 3, 4].map(() => stage.kernels.start(requestFor())))
    expect(started.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected'])
    expect(started[3]).toMatchObject({ reason: { code: 'quota_exceeded', details: { retry_after_s: 10 } } })
    const bobs = await stage.kernels.start(requestFor({ owner: 'bob' }))
    expect(bobs.owner).toBe('bob')
    await stage.kernels.list()[0]?.shutdown()
    await stage.kernels.start(requestFor())
    expect(stage.kernels.list()).toHaveLength(3)
  } finally {
    await stage.close()
  }
}, 60_000)
