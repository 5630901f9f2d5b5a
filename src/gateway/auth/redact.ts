/** Takes tokens out of what is logged. Pure. */

import { isWritten, type Log } from '../../log.js'

const HIDDEN = '***'

/** A URL or a Referer for the log: `/t/T` and the value of every parameter that may hold a secret are hidden. */
export function redactUrl(url: string): string {
  return url
    .replace(/\/t\/[^/?#\s]+/g, `/t/${HIDDEN}`)
    .replace(/([?&;](?:token|access_token|id_token|password|_xsrf)=)[^&;#\s]*/gi, `$1${HIDDEN}`)
}

/** Any text, such as an error's message: the gateway's own token, and whatever has the form of a signed one. */
export function redactText(text: string, token: string): string {
  const known = token === '' ? text : text.replaceAll(token, HIDDEN).replaceAll(encodeURIComponent(token), HIDDEN)
  return redactUrl(known).replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, HIDDEN)
}

/** A log that hides tokens in whatever it is given, wherever in the gateway it comes from. */
export function redactingLog(log: Log, token: string): Log {
  const hide = (value: string): string => redactText(value, token)
  return (level, event, fields = {}) => {
    if (!isWritten(log, level)) return
    const shown = Object.entries(fields).map(([key, value]) => [key, typeof value === 'string' ? hide(value) : value])
    log(level, event, Object.fromEntries(shown) as typeof fields)
  }
}
