/** PostgreSQL's codes for a lock timeout and a deadlock. */
const lockCodes = new Set(['55P03', '40P01']);

/** Whether a statement has failed because others hold the lock that it needs: the same work can succeed later. */
export function isLockFailure(error: unknown): boolean {
  return lockCodes.has((error as { code?: string } | undefined)?.code ?? '');
}
