/** Cells that only ask something of the kernel, and change nothing of the user's. */

const NAMES = 'begin|savepoint|rollback|release|commit|transaction|undo|redo|snapshots|guard|checkpoints?|diff'
const CALLS = 'begin|savepoint|rollback|release|commit|status|undo|redo|snapshots|checkpoints?|diff|fork'
const MAGIC = new RegExp(String.raw`^%(?:${NAMES})(?:\s.*)?$`)
const CALL = new RegExp(String.raw`^savepoint\.(?:${CALLS})\([^()]*\);?$`)

/** Does the cell hold nothing but magics of ours, or calls of the `savepoint` module that stand for them? */
export function isMagicAlone(code: string): boolean {
  // Most cells are told by their first characters.
  if (!/^\s*(?:%|savepoint\.|#|import savepoint\b)/.test(code)) return false
  const lines = code
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  return lines.some((line) => line !== 'import savepoint') && lines.every(isOurs)
}

function isOurs(line: string): boolean {
  return MAGIC.test(line) || CALL.test(line) || line === 'import savepoint'
}
