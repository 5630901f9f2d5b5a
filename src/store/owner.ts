/** Whose a record is that names no owner: the user's own, for whom `savepoint kernel` keeps everything too. */
export const LOCAL_OWNER = 'local'
