/** What zygotes and places of a pool are called. */

import { randomBytes, randomInt } from 'node:crypto'

export interface Names {
  /** The first zygote has the number after it. */
  readonly zygotesFrom: number
  readonly placePrefix: string
}

/** Of a pool whose processes end with it. */
export const PLAIN_NAMES: Names = { zygotesFrom: 0, placePrefix: 'w' }

/** No other gateway has the like: one goes on with what several have left. */
export function distinctNames(): Names {
  return { zygotesFrom: randomInt(2 ** 40), placePrefix: `w${randomBytes(3).toString('hex')}-` }
}
