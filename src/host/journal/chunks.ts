/** Bytes of a record as they are put together: small pieces next to each other become one chunk, large ones stay theirs. */

/** What is larger is handed to the system as it is. */
const COPIED_BYTES_MAX = 16_384

/** Most records fit: what is allocated for each would cost more than the rest of it. */
const SCRATCH = Buffer.allocUnsafeSlow(65_536)

/** Bytes of UTF-8 for a UTF-16 unit, at most. */
const BYTES_OF_UNIT_MAX = 3

/** Only one at a time: what `done` gives counts until the next one is begun. */
export class Chunks {
  readonly #chunks: Buffer[] = []
  #scratch = SCRATCH
  /** Of the scratch: where the present chunk begins, and where it ends so far. */
  #begin = 0
  #end = 0
  #closedBytes = 0

  /** So many so far. */
  get bytes(): number {
    return this.#closedBytes + this.#end - this.#begin
  }

  /** Sets what was written as u32 among the first bytes. */
  setU32(value: number, at: number): void {
    SCRATCH.writeUInt32BE(value, at)
  }

  u8(value: number): void {
    this.#reserve(1)
    this.#end = this.#scratch.writeUInt8(value, this.#end)
  }

  u16(value: number): void {
    this.#reserve(2)
    this.#end = this.#scratch.writeUInt16BE(value, this.#end)
  }

  u32(value: number): void {
    this.#reserve(4)
    this.#end = this.#scratch.writeUInt32BE(value, this.#end)
  }

  f64(value: number): void {
    this.#reserve(8)
    this.#end = this.#scratch.writeDoubleBE(value, this.#end)
  }

  /** As UTF-8. `bytes`: how many that are. */
  text(value: string, bytes: number): void {
    if (bytes > COPIED_BYTES_MAX) return this.add(Buffer.from(value))
    this.#reserve(bytes)
    this.#end += this.#scratch.write(value, this.#end)
  }

  /** The same with its number of bytes as u32 in front. */
  sizedText(value: string): void {
    const bytesMax = BYTES_OF_UNIT_MAX * value.length
    if (bytesMax > COPIED_BYTES_MAX) {
      const bytes = Buffer.from(value)
      this.u32(bytes.length)
      return this.add(bytes)
    }
    this.#reserve(4 + bytesMax)
    const bytes = this.#scratch.write(value, this.#end + 4)
    this.#end = this.#scratch.writeUInt32BE(bytes, this.#end) + bytes
  }

  add(bytes: Buffer): void {
    if (bytes.length > COPIED_BYTES_MAX) {
      this.#close()
      this.#chunks.push(bytes)
      this.#closedBytes += bytes.length
      return
    }
    this.#reserve(bytes.length)
    this.#end += bytes.copy(this.#scratch, this.#end)
  }

  done(): readonly Buffer[] {
    this.#close()
    return this.#chunks
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#scratch.length) return
    this.#close()
    this.#scratch = Buffer.allocUnsafe(Math.max(bytes, 2 * COPIED_BYTES_MAX))
    this.#begin = 0
    this.#end = 0
  }

  #close(): void {
    if (this.#end === this.#begin) return
    this.#chunks.push(this.#scratch.subarray(this.#begin, this.#end))
    this.#closedBytes += this.#end - this.#begin
    this.#begin = this.#end
  }
}
