/** Whether a port can be had now. */

import { createServer } from 'node:net'

export function isFreePort(ip: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: ip, port }, () => probe.close(() => resolve(true)))
  })
}
