/**
 * Which comms are open, and which of them are ours.
 *
 * The registry follows both sides: clients open comms by request, the worker by publication. It answers
 * comm_info_request and tells which messages the gateway serves itself.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#custom-messages
 */

export interface Comm {
  readonly target: string
  /** Served by the gateway, not by the worker. */
  readonly ours: boolean
  /**
   * The subshell (null: the main shell) whose code sent the last message on it: answers go there. Undefined as long as
   * there are no subshells, or it has sent nothing.
   */
  sentFrom?: string | null
}
export type Comms = Map<string, Comm>

export const TRANSACTION_TARGET = 'savepoint.transaction'
export const CHECKPOINT_TARGET = 'savepoint.checkpoint'
export const NAMESPACE_TARGET = 'savepoint.namespace'
export const OUR_TARGETS: readonly string[] = [TRANSACTION_TARGET, CHECKPOINT_TARGET, NAMESPACE_TARGET]

export function isOurTarget(target: string): boolean {
  return OUR_TARGETS.includes(target)
}

export function openComm(comms: Comms, id: string, target: string): void {
  comms.set(id, { target, ours: isOurTarget(target) })
}

/** Notes where the code runs that sends on a comm; `parent` is the header of the request that it belongs to. */
export function noteSender(comms: Comms, id: string, parent: Buffer): void {
  const comm = comms.get(id)
  if (!comm) return
  const header = JSON.parse(parent.toString()) as { subshell_id?: unknown }
  comm.sentFrom = typeof header.subshell_id === 'string' ? header.subshell_id : null
}

/** Content of comm_info_reply; all comms, or those of one target. */
export function commInfo(comms: Comms, target: string | undefined): object {
  const entries = [...comms]
    .filter(([, comm]) => target === undefined || comm.target === target)
    .map(([id, comm]) => [id, { target_name: comm.target }] as const)
  return { status: 'ok', comms: Object.fromEntries(entries) }
}

/** Ids of our open comms of a target. */
export function openOf(comms: Comms, target: string): string[] {
  return [...comms].filter(([, comm]) => comm.target === target).map(([id]) => id)
}

/** Ids of the comms that the worker serves. */
export function workerComms(comms: Comms): string[] {
  return [...comms].filter(([, { ours }]) => !ours).map(([id]) => id)
}

/** Forgets the worker's comms but for those `known` to the one that follows, and returns their ids. */
export function dropWorkerComms(comms: Comms, known: ReadonlySet<string>): string[] {
  const gone = workerComms(comms).filter((id) => !known.has(id))
  for (const id of gone) comms.delete(id)
  return gone
}
