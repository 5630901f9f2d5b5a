import { curveKeyPair } from 'zeromq'
import { SavepointError } from '../../src/errors.js'
import { endpointOf, mergePorts, newConnectionFields, parseConnection } from '../../src/wire/connection.js'

const FIELDS: Readonly<Record<string, unknown>> = {
  shell_port: 5001,
  iopub_port: 5002,
  stdin_port: 5003,
  control_port: 5004,
  hb_port: 5005,
  ip: '127.0.0.1',
  key: 'the-secret-key',
  transport: 'tcp',
  signature_scheme: 'hmac-sha256',
  kernel_name: 'savepoint',
  jupyter_session: '/home/ada/notebook.ipynb',
}

/** The pair of an example in the documentation of libzmq. */
const CURVE = {
  curve_publickey: 'Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID',
  curve_secretkey: 'D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs',
}

function parse(changes: Readonly<Record<string, unknown>> = {}): ReturnType<typeof parseConnection> {
  return parseConnection(JSON.stringify({ ...FIELDS, ...changes }))
}

function messageOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof SavepointError && error.code === 'CONNECTION_FILE_INVALID') return error.message
    throw error
  }
  return 'accepted'
}

test('a connection file says where the channels are and how messages are signed', () => {
  expect(parse()).toEqual({
    transport: 'tcp',
    ip: '127.0.0.1',
    ports: { shell: 5001, iopub: 5002, stdin: 5003, control: 5004, hb: 5005 },
    key: 'the-secret-key',
    signatureScheme: 'hmac-sha256',
    kernelName: 'savepoint',
    jupyterSession: '/home/ada/notebook.ipynb',
    curve: null,
    original: FIELDS,
  })
})

test('transport, scheme, names and session may be missing', () => {
  const { key, ip, shell_port, iopub_port, stdin_port, control_port, hb_port } = FIELDS
  const connection = parseConnection(
    JSON.stringify({ key, ip, shell_port, iopub_port, stdin_port, control_port, hb_port }),
  )
  expect(connection).toMatchObject({
    transport: 'tcp',
    signatureScheme: 'hmac-sha256',
    kernelName: null,
    jupyterSession: null,
  })
})

test('all ports may be 0', () => {
  const zeros = { shell_port: 0, iopub_port: 0, stdin_port: 0, control_port: 0, hb_port: 0 }
  expect(parse(zeros).ports).toEqual({ shell: 0, iopub: 0, stdin: 0, control: 0, hb: 0 })
})

test.each([
  ['127.0.0.1', 'tcp://127.0.0.1:7'],
  ['localhost', 'tcp://127.0.0.1:7'],
  ['0.0.0.0', 'tcp://0.0.0.0:7'],
  ['*', 'tcp://*:7'],
  ['::1', 'tcp://[::1]:7'],
  ['[::1]', 'tcp://[::1]:7'],
  ['fe80::1%eth0', 'tcp://[fe80::1%eth0]:7'],
])('the address %s is bound as %s', (ip, endpoint) => {
  expect(endpointOf(parse({ ip }), 7)).toBe(endpoint)
})

test('for ipc the ip is the beginning of a path', () => {
  expect(endpointOf(parse({ transport: 'ipc', ip: '/run/user/1/kernel-ipc' }), 3)).toBe(
    'ipc:///run/user/1/kernel-ipc-3',
  )
})

test.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
  ['a missing port', { hb_port: undefined }, /has no hb_port/],
  ['a port that is text', { shell_port: '5001' }, /shell_port that is no whole number/],
  ['a negative port', { shell_port: -1 }, /shell_port/],
  ['a port above 65535', { shell_port: 65_536 }, /shell_port/],
  ['a fractional port', { shell_port: 1.5 }, /shell_port/],
  ['a port that is null', { shell_port: null }, /shell_port/],
  ['two equal ports', { stdin_port: 5001 }, /shell_port and stdin_port the same number, 5001/],
  ['no ip', { ip: undefined }, /has no ip/],
  ['an empty ip', { ip: '' }, /has no ip/],
  ['an ip with a path', { ip: '127.0.0.1/x' }, /no address/],
  ['an ip with a line break', { ip: '127.0.0.1\n' }, /no address/],
  ['an unknown transport', { transport: 'inproc' }, /transport/],
  ['no key', { key: undefined }, /has no key/],
  ['a key that is a number', { key: 12 }, /has no key/],
  ['a scheme that is a number', { signature_scheme: 12 }, /signature_scheme/],
  ['a path too long for a socket', { transport: 'ipc', ip: `/${'x'.repeat(110)}` }, /too long/],
  ['a public key alone', { curve_publickey: 'x'.repeat(40) }, /has no curve_secretkey/],
  ['a secret key alone', { curve_secretkey: 'x'.repeat(40) }, /has no curve_publickey/],
  ['a public key that is no text', { ...CURVE, curve_publickey: 7 }, /curve_publickey that is no text/],
  ['a public key that is too short', { ...CURVE, curve_publickey: 'x'.repeat(39) }, /curve_publickey that is no key/],
  ['a secret key with a space', { ...CURVE, curve_secretkey: `${'x'.repeat(39)} ` }, /curve_secretkey that is no key/],
  ['a secret key beyond 32 bytes', { ...CURVE, curve_secretkey: '#'.repeat(40) }, /curve_secretkey that is no key/],
  ['halves of two pairs', { ...CURVE, curve_secretkey: '0'.repeat(40) }, /of two pairs/],
])('%s is refused with a reason that does not show the key', (_name, changes, reason) => {
  const message = messageOf(() => parse(changes))
  expect(message).toMatch(reason)
  expect(message).not.toContain('the-secret-key')
  expect(message).not.toContain('x'.repeat(40))
})

test('encryption that is not asked for may be mentioned', () => {
  expect(parse({ curve_publickey: null, curve_secretkey: '' }).curve).toBeNull()
})

test('a key pair means that all channels are encrypted', () => {
  expect(parse(CURVE).curve).toEqual({ publicKey: CURVE.curve_publickey, secretKey: CURVE.curve_secretkey })
})

test("pairs that ZeroMQ makes are pairs, in ZeroMQ's own spelling", () => {
  for (let n = 0; n < 50; n += 1) {
    const { publicKey, secretKey } = curveKeyPair()
    expect(parse({ curve_publickey: publicKey, curve_secretkey: secretKey }).curve).toEqual({ publicKey, secretKey })
  }
})

test.each(['', 'junk', '{"key":"the-secret-key"', '[]', 'null', '"text"', '7'])('the text %j is refused', (text) => {
  const message = messageOf(() => parseConnection(text))
  expect(message).toMatch(/is no JSON/)
  expect(message).not.toContain('the-secret-key')
})

test('bound ports are merged into the file, and what we do not know is kept', () => {
  const original = { ...FIELDS, shell_port: 0, extra: { deep: [1] } }
  const bound = { shell: 1, iopub: 2, stdin: 3, control: 4, hb: 5 }
  expect(mergePorts(original, bound)).toEqual({
    ...original,
    shell_port: 1,
    iopub_port: 2,
    stdin_port: 3,
    control_port: 4,
    hb_port: 5,
  })
})

test('a new connection is on loopback, at any free ports', () => {
  const connection = parseConnection(JSON.stringify(newConnectionFields('k')))
  expect(connection).toMatchObject({ ip: '127.0.0.1', transport: 'tcp', key: 'k', ports: { shell: 0, hb: 0 } })
})
