/** Bounds of who may ask and how often; `auth` in docs/limits.md. */
export const authLimits = Object.freeze({
  /** What the clocks of two machines may differ by, when a token begins or ends. */
  leewayS: 5,
  tokenCharsMax: 8_192,
  subjectCharsMax: 256,
  /** Wrong tokens of one address (of one /64 of IPv6) within a minute; then 429 until the minute is over. */
  failuresPerMinute: 20,
  /** Addresses whose failures are counted one by one; further ones are counted together. */
  addressesMax: 10_000,
  rsaBitsMin: 2_048,
  secretBytesMin: 32,
  jwksBytesMax: 1_048_576,
  /** How often files of keys and revocations are looked at while someone is connected. */
  watchMs: 1_000,
  /** How long what was seen of a file holds, and how long a changed file is read at each look. */
  fileLookMs: 20,
  fileYoungMs: 2_000,
  /** How long the record of a token that has expired is kept. */
  forgetAfterS: 2_592_000,
})
