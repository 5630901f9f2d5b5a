/**
 * Echoes what clients send to learn that the kernel lives, whatever else is going on.
 *
 * A client calls a kernel dead that leaves it without an echo for a second. ZeroMQ's proxy echoes in a thread of its
 * own, so that nothing which keeps our event loop busy can delay it: the ROUTER's messages go into a DEALER that is
 * connected to itself, and come back. (A proxy from a socket to itself crashes the process.)
 *
 * The proxy has two peculiarities. It occupies one of the few threads that Node has for files and name look-ups, so
 * only the first heartbeat of a process gets one and others are echoed by the event loop. And a process that ends with
 * a proxy running waits for it forever, so it is told to end whenever the process exits, orderly or not.
 */

import { randomUUID } from 'node:crypto'
import type { Dealer, Proxy as NativeProxy, Router } from 'zeromq'

type ZeroMq = typeof import('zeromq')

export interface Heartbeat {
  /** Ends the echo and closes the socket. */
  close(): Promise<void>
}

let nativeTaken = false

/** Echoes on `router`, which is bound already and from now on belongs to the heartbeat. */
export async function startHeartbeat(
  zmq: ZeroMq,
  router: Router,
  onFailed: (error: unknown) => void,
): Promise<Heartbeat> {
  if (nativeTaken) return echoInLoop(router, onFailed)
  nativeTaken = true
  try {
    return await echoInThread(zmq, router, onFailed)
  } catch (error) {
    nativeTaken = false
    throw error
  }
}

async function echoInThread(zmq: ZeroMq, router: Router, onFailed: (error: unknown) => void): Promise<Heartbeat> {
  const mirror: Dealer = new zmq.Dealer({ linger: 0, sendHighWaterMark: 1000, receiveHighWaterMark: 1000 })
  // A name of its own: ZeroMQ may still hold the one of a heartbeat that has just been closed.
  const address = `inproc://heartbeat-${randomUUID()}`
  await mirror.bind(address)
  mirror.connect(address)
  const proxy: NativeProxy = new zmq.Proxy(router, mirror)
  const ended = proxy.run().catch(onFailed)
  let ending = false
  const terminate = (): void => {
    if (ending) return
    ending = true
    try {
      proxy.terminate()
    } catch {
      // It has ended by itself, which `run` has reported.
    }
  }
  process.on('exit', terminate)
  return {
    async close() {
      terminate()
      await ended
      process.removeListener('exit', terminate)
      nativeTaken = false
    },
  }
}

/** REQ clients send an empty frame before their own; it is echoed with the rest. */
function echoInLoop(router: Router, onFailed: (error: unknown) => void): Heartbeat {
  const echoing = (async () => {
    for await (const frames of router) await router.send(frames)
  })().catch((error: unknown) => {
    if (!router.closed) onFailed(error)
  })
  return {
    async close() {
      router.close()
      await echoing
    },
  }
}
