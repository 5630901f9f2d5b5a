/** What one WebSocket may send and hold, and how long it is waited for: the settings `websocket.…`. */
export interface ChannelsLimits {
  /** Milliseconds between pings; 0: none. */
  readonly pingMs: number
  /** Messages a second from one client, on an average over ten seconds; 0: any number. */
  readonly messagesPerS: number
  /** Bytes that may wait for a client that does not read; then it is cut off. */
  readonly waitingBytesMax: number
  /** What is kept for a session that went away, and for how long. */
  readonly keptBytesMax: number
  readonly keptMessagesMax: number
  readonly keptMs: number
  /** What is kept for all sessions together. */
  readonly keptTotalBytesMax: number
  /** The newest publications of one kernel, which are there for any session. */
  readonly journalBytesMax: number
  readonly journalMessagesMax: number
  /** Those of all kernels together. */
  readonly journalTotalBytesMax: number
  /** Sessions of one kernel for which something is kept. */
  readonly keptSessionsMax: number
}

export const channelsLimits: ChannelsLimits = Object.freeze({
  pingMs: 30_000,
  messagesPerS: 0,
  waitingBytesMax: 67_108_864,
  keptBytesMax: 33_554_432,
  keptMessagesMax: 50_000,
  keptMs: 3_600_000,
  journalBytesMax: 8_388_608,
  journalMessagesMax: 10_000,
  journalTotalBytesMax: 134_217_728,
  keptTotalBytesMax: 268_435_456,
  keptSessionsMax: 16,
})
