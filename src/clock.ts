/** Time as the shell around the pure layers sees it; a fake one drives the tests. */
export interface Clock {
  /** Milliseconds of a monotonic clock with arbitrary origin. */
  now(): number
  /** Wall-clock time, for dates in messages. */
  date(): Date
  /** Calls back once after `ms`; the returned function cancels. Never keeps the process alive by itself. */
  after(ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
