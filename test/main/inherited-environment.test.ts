import { inheritedEnvironment } from '../../src/main/inherited-environment.js'

const ENV = {
  PATH: '/bin',
  LC_ALL: 'C',
  APP_ONE: '1',
  OTHER: '2',
  SAVEPOINT_TOKEN: 's',
  SAVEPOINT_AUTH_JWKS: 's',
  AWS_SECRET_ACCESS_KEY: 's',
  JUPYTER_TOKEN: 's',
}

describe("the gateway's environment", () => {
  test('is given to kernels without what is known to be secret', () => {
    expect(Object.keys(inheritedEnvironment(ENV, []))).toEqual(['PATH', 'LC_ALL', 'APP_ONE', 'OTHER'])
  })

  test('is given as far as it is named, and as every program needs it', () => {
    expect(Object.keys(inheritedEnvironment(ENV, ['APP_*']))).toEqual(['PATH', 'LC_ALL', 'APP_ONE'])
    expect(inheritedEnvironment(ENV, ['AWS_SECRET_ACCESS_KEY'])).toHaveProperty('AWS_SECRET_ACCESS_KEY')
  })

  test('keeps what the gateway is entered with, whatever is named', () => {
    const names = Object.keys(inheritedEnvironment(ENV, ['*']))
    expect(names).not.toContain('SAVEPOINT_TOKEN')
    expect(names).not.toContain('SAVEPOINT_AUTH_JWKS')
    expect(names).toContain('JUPYTER_TOKEN')
  })
})
