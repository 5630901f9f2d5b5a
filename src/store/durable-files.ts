/** The few file operations whose order decides what is left after a crash. */

import { open, rm, type FileHandle } from 'node:fs/promises'

/** Makes renames and new names in a folder survive a power failure. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** What can be read at any place: a file, or a part of one. */
export interface Section {
  stat(): Promise<{ readonly size: number }>
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
}

/** `size` bytes of a file from `start` on, as if they were a file of their own. */
export function sectionOf(handle: FileHandle, start: number, size: number): Section {
  return {
    stat: () => Promise.resolve({ size }),
    read: (buffer, offset, length, position) =>
      handle.read(buffer, offset, Math.min(length, Math.max(0, size - position)), start + position),
  }
}

/** `length` bytes at `position`; fewer only where the file ends. */
export async function readAt(handle: Section, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}

/** Writes all of `bytes` at `position`: one `write` may write less than it was given. */
export async function writeAt(handle: FileHandle, position: number, bytes: Buffer): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, position + written)
    written += bytesWritten
  }
}

/** Lets `work` write to a file that was not there before, and closes it. */
export async function withNew<T>(path: string, work: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(path, 'wx', 0o600)
  try {
    return await work(handle)
  } finally {
    await handle.close()
  }
}

/** Writes a new file. When this has failed nothing creates it any more, as a stream would that is opened meanwhile. */
export async function writeNew(path: string, pieces: AsyncIterable<Buffer>): Promise<void> {
  await withNew(path, async (handle) => {
    let at = 0
    for await (const piece of pieces) {
      await writeAt(handle, at, piece)
      at += piece.length
    }
  })
}

/** Removes a file; one that is not there, or cannot be removed, is left. */
export async function removeQuietly(path: string): Promise<void> {
  try {
    await rm(path, { force: true })
  } catch {
    // A file that stays costs room, nothing else; the next start tries again.
  }
}

export function errnoOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | null)?.code
}
