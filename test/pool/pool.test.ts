import { startTestPool, type TestPool } from '../support/pool.js'

let stage: TestPool

describe('kernels on one zygote', () => {
  beforeAll(async () => {
    stage = await startTestPool()
  })
  afterAll(async () => stage.close())

  test('have workers of their own, with their environment, folder and connection file', async () => {
    const one = await stage.kernel({ environment: { KERNEL_NAME: 'one' } }).start()
    const two = await stage.kernel({ environment: { KERNEL_NAME: 'two' }, cwd: '/' }).start()
    expect(await one.run('import os; x = 1; print(os.environ["KERNEL_NAME"], os.getcwd())')).toBe(`one ${stage.folder}`)
    expect(await two.run('import os; print(os.environ["KERNEL_NAME"], os.getcwd(), "x" in dir())')).toBe('two / False')
    expect(await two.run('print(get_ipython().kernel.parent.connection_file)')).toBe(`${stage.folder}/kernel-k2.json`)
    expect(await one.run('os.system("echo child")')).toBe('child')
    const parents = await Promise.all([one, two].map((each) => each.run('print(os.getppid())')))
    expect(parents[0]).toBe(parents[1])
    await Promise.all([one.stop(), two.stop()])
  })
})
