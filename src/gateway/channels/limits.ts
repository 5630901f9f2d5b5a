/** What one WebSocket may send and hold, and how long it is waited for: the settings `websocket.…`. */
export interface ChannelsLimits {
  /** Milliseconds between pings; 0: none. */
  readonly pingMs: number
  /** Messages a second from one client, on an average over ten seconds; 0: any number. */
  readonly messagesPerS: number
  /** Bytes that may wait for a client in memory; what is beyond them it gets from the journal when it has read these. */
  readonly waitingBytesMax: number
  /** How long it is remembered what a session has had that went away. */
  readonly keptMs: number
  /** Sessions of one kernel that are waited for. */
  readonly keptSessionsMax: number
}

export const channelsLimits: ChannelsLimits = Object.freeze({
  pingMs: 30_000,
  messagesPerS: 0,
  waitingBytesMax: 8_388_608,
  keptMs: 3_600_000,
  keptSessionsMax: 64,
})
