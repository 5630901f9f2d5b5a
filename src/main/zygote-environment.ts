/** The environment in which Python is started. */

import { places, type Environment } from '../config.js'

/** Our package is found through PYTHONPATH, from which the zygote takes it out again before user code runs. */
export function zygoteEnvironment(env: Environment): Environment {
  const path = env['PYTHONPATH'] ? `${places.python}:${env['PYTHONPATH']}` : places.python
  return { MPLBACKEND: 'module://matplotlib_inline.backend_inline', ...env, PYTHONPATH: path }
}
