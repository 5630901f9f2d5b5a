/** The shape of one setting, and of the table of a topic. */

import type { Kind } from './kinds.js'

export interface Setting<T> extends Kind<T> {
  /** What it sets, as the reference says it. */
  readonly about: string
  /** Flag of `serve`, and what stands for its value in the help; `flag` alone is a switch. */
  readonly flag?: string
  readonly placeholder?: string
  /** Never shown. */
  readonly secret?: boolean
}

export type SettingTable = Readonly<Record<string, Setting<unknown>>>

/** A year: the longest time that a setting may be. */
export const secondsMax = 31_536_000
