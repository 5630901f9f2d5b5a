/** Chunks: everything that a checkpoint keeps is cut into these, and each is kept once for an owner. */

/** SHA-256 of a chunk's raw bytes, 64 hexadecimal digits. */
export type Digest = string

export const DIGEST_BYTES = 32

export const CODECS = Object.freeze({ raw: 0, zlib: 1 })

/** Where the bytes of a chunk lie. */
export interface Place {
  /** Absolute path of the pack. */
  readonly pack: string
  readonly offset: number
  /** Bytes in the pack, and what they are when they are unpacked. */
  readonly stored: number
  readonly raw: number
  readonly codec: number
}

/** Who knows where chunks lie. */
export interface Places {
  /** Those of `digests` that there are. */
  find(digests: readonly Digest[]): Promise<ReadonlyMap<Digest, Place>>
}

/** What is in `first` counts before what is in `second`. */
export function eitherOf(first: ReadonlyMap<Digest, Place>, second: Places): Places {
  return {
    async find(digests) {
      const found = new Map<Digest, Place>()
      const others: Digest[] = []
      for (const digest of digests) {
        const place = first.get(digest)
        if (place) found.set(digest, place)
        else others.push(digest)
      }
      if (others.length > 0) for (const [digest, place] of await second.find(others)) found.set(digest, place)
      return found
    },
  }
}

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}
