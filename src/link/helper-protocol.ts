/** What a checkpoint's writer and the thread of a debugger are told, and what they say: see `protocol`. */

/** Sent by a checkpoint writer, which ends after any but `writing`. Parts of `written`: [manifest, or its root, as JSON]. */
export type WriterEvent =
  | {
      /** How far it is, at most every half second; `total_bytes` is null until it is known. */ readonly kind: 'writing'
      readonly checkpoint: string
      readonly done_bytes: number
      readonly total_bytes: number | null
      readonly variable: string | null
    }
  | { readonly kind: 'written'; readonly checkpoint: string; readonly ms: number }
  | { readonly kind: 'write_failed'; readonly checkpoint: string; readonly reason: string }

/** Sent to the debugger's thread of a worker, which ends when its connection is closed. Parts: [content]. */
export interface DebuggerCommand {
  readonly kind: 'debug_request'
  readonly seq: number
}

/** Sent by the debugger's thread. */
export type DebuggerEvent =
  | {
      /** Parts: [content]. `attached`: debugpy is at work, so that the process cannot be copied. */ readonly kind: 'debug_reply'
      readonly seq: number
      readonly attached: boolean
    }
  | { /** Parts: [content]. */ readonly kind: 'debug_event' }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly text: string }
