/** How WebSockets are accepted: what is agreed upon before the first frame. */

import { WebSocketServer } from 'ws'
import { V1_SUBPROTOCOL } from '../../wire/websocket.js'
import { TOKEN_SUBPROTOCOL } from '../auth/token-place.js'

/**
 * A server that takes over sockets from an HTTP server's `upgrade` event (`handleUpgrade`).
 *
 * Frames are never compressed: that would cost more than it saves nearby, and lets a small frame become a large one.
 * A message beyond `messageBytesMax` closes its connection with 1009.
 */
export function createWebSocketServer(messageBytesMax: number): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
    handleProtocols: chooseSubprotocol,
  })
}

/**
 * The kernel's own subprotocol wherever it is offered, and otherwise none: some clients fail if they offered one and
 * none is chosen. A browser that offered its token alone needs one as well, and names one that may be repeated; the
 * token itself is never sent back.
 */
export function chooseSubprotocol(offered: Iterable<string>): string | false {
  const names = [...offered]
  return [V1_SUBPROTOCOL, TOKEN_SUBPROTOCOL].find((name) => names.includes(name)) ?? false
}
