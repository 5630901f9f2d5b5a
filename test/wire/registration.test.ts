import { SavepointError } from '../../src/errors.js'
import { parseRegistration, readAcknowledgement, registrationFrames } from '../../src/wire/registration.js'
import { createSigner } from '../../src/wire/signature.js'

const COMMON = { transport: 'tcp', signature_scheme: 'hmac-sha256', key: 'a key', registration_port: 4000 }
const PORTS = { shell: 1, iopub: 2, stdin: 3, control: 4, hb: 5 }
const STAMP = { msg_id: 'm', session: 's', date: '2030-01-01T00:00:00.000Z' }
const signer = createSigner('hmac-sha256', 'a key')

const parse = (fields: object): ReturnType<typeof parseRegistration> =>
  parseRegistration(JSON.stringify({ ...COMMON, ...fields }))
const signed = (...frames: string[]): Buffer[] => {
  const bytes = frames.map((frame) => Buffer.from(frame))
  return [Buffer.from('<IDS|MSG>'), signer?.(bytes) ?? Buffer.alloc(0), ...bytes]
}

describe('a registration file', () => {
  test('of the specification names the launcher and the kernel', () => {
    expect(parse({ registration_ip: '127.0.0.1', kernel_id: 'k' })).toMatchObject({
      dialect: 'jupyter',
      endpoint: 'tcp://127.0.0.1:4000',
      kernelId: 'k',
      connection: { ip: '127.0.0.1', key: 'a key', ports: { shell: 0, hb: 0 } },
    })
  })

  test('of Positron names the launcher alone', () => {
    expect(parse({ ip: '127.0.0.1' })).toMatchObject({ dialect: 'positron', kernelId: null })
  })

  test('of a launcher elsewhere makes the kernel listen where that can reach it', () => {
    expect(parse({ registration_ip: '10.1.2.3' })?.connection.ip).toBe('0.0.0.0')
    expect(parse({ registration_ip: 'fd00::1' })?.connection.ip).toBe('::')
    expect(parse({ registration_ip: '::1' })?.connection.ip).toBe('::1')
  })

  test.each(['{junk', '[]', '{}', '{"shell_port":1,"registration_port":2}'])('is not what %s is', (text) => {
    expect(parseRegistration(text)).toBeNull()
  })

  test.each([0, 65_536, 'many', 1.5, null])('with the port %j is refused', (registration_port) => {
    expect(() => parse({ ip: '127.0.0.1', registration_port })).toThrow(SavepointError)
  })

  test('without a key is refused', () => {
    expect(() => parse({ ip: '127.0.0.1', key: undefined })).toThrow(/has no key/)
  })
})

describe('a launcher', () => {
  test('of the specification is told in one signed frame, with ports as text', () => {
    const registration = parse({ registration_ip: '127.0.0.1', kernel_id: 'k' })
    if (!registration) throw new Error('no registration file')
    const [, signature, content, ...more] = registrationFrames(registration, PORTS, STAMP, signer)
    expect(more).toEqual([])
    expect(signature).toEqual(signer?.([content ?? Buffer.alloc(0)]))
    expect(JSON.parse(String(content))).toEqual({
      kernel_id: 'k',
      shell_port: '1',
      iopub_port: '2',
      stdin_port: '3',
      control_port: '4',
      hb_port: '5',
    })
  })

  test.each([
    ['accepts with one frame', signed('{"status":"ok"}'), 'accepted'],
    ['accepts with an empty answer', signed('{}'), 'accepted'],
    [
      'accepts with a whole message',
      signed('{"msg_type":"handshake_reply"}', '{}', '{}', '{"status":"ok"}'),
      'accepted',
    ],
    ['refuses', signed('{"status":"error"}'), 'refused'],
    ['refuses with a whole message', signed('{}', '{}', '{}', '{"status":"error"}'), 'refused'],
    ['behind an empty frame is heard', [Buffer.alloc(0), ...signed('{}')], 'accepted'],
    [
      'with another key is not heard',
      [Buffer.from('<IDS|MSG>'), Buffer.from('0'.repeat(64)), Buffer.from('{}')],
      'junk',
    ],
    ['without a signature is not heard', [Buffer.from('<IDS|MSG>'), Buffer.alloc(0), Buffer.from('{}')], 'junk'],
    ['without frames is not heard', [], 'junk'],
    ['that says nothing is not heard', [Buffer.from('<IDS|MSG>')], 'junk'],
  ] as const)('that %s', (_, frames, means) => {
    expect(readAcknowledgement(frames, signer)).toBe(means)
  })
})
