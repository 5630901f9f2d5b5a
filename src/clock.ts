/** Time as the shell around the pure layers sees it; a fake one drives the tests. */
export interface Clock {
  /** Milliseconds of a monotonic clock with arbitrary origin. */
  now(): number
  /** Wall-clock time, for dates in messages. */
  date(): Date
  /**
   * Calls back once after `ms`; the returned function cancels. Never keeps the process alive by itself. After a time in
   * which this process could not run, what has arrived meanwhile is heard first: it may be what was waited for.
   */
  after(ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after(ms, callback) {
    let immediate: NodeJS.Immediate | undefined
    const timer = setTimeout(() => {
      immediate = setImmediate(callback)
      immediate.unref()
    }, ms)
    timer.unref()
    return () => {
      clearTimeout(timer)
      clearImmediate(immediate)
    }
  },
}
