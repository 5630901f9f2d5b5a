/** Frames as JupyterLab writes them: `node make.mjs` writes jupyterlab.json beside this file; then `npm run format`. */
import { readFileSync, writeFileSync } from 'node:fs'
import serialization from '@jupyterlab/services/lib/kernel/serialize.js'

const HEADER = {
  msg_id: 'm-1',
  msg_type: 'comm_msg',
  username: 'ada',
  session: 's-1',
  date: '2026-01-02T03:04:05.678901Z',
  version: '5.4',
}
const PARENT = { ...HEADER, msg_id: 'm-0', msg_type: 'execute_request' }

const here = (name) => new URL(name, import.meta.url)
const hex = (data) => Buffer.from(data).toString('hex')

const frames = JSON.parse(readFileSync(here('cases.json'), 'utf8')).map(
  ({ name, channel, content, buffers: written = [] }) => {
    // Its writer takes whole ArrayBuffers, and deletes the buffers of a legacy message.
    const buffers = () => written.map((each) => new Uint8Array(Buffer.from(each, 'hex')).buffer)
    const parts = [HEADER, PARENT, { tags: [] }, content]
    const message = () => ({
      header: HEADER,
      parent_header: PARENT,
      metadata: { tags: [] },
      content,
      channel,
      buffers: buffers(),
    })
    return {
      name,
      channel,
      parts: [...parts.map((part) => hex(JSON.stringify(part))), ...written],
      v1: hex(serialization.serialize(message(), 'v1.kernel.websocket.jupyter.org')),
      legacy: hex(serialization.serialize(message(), '')),
    }
  },
)
writeFileSync(here('jupyterlab.json'), JSON.stringify(frames, null, 2) + '\n')
