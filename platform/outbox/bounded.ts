import { PlatformError } from '#platform/errors';
import type { Pool, PoolClient } from '#platform/postgres';

/** A session of a relay that does not answer within this time ends, in milliseconds; the shards are leased for longer. */
export const answerMs = 8_000;

/**
 * A statement of a relay waits for a lock within this time, in milliseconds: it ends in the server before its session is given up, and
 * with it the locks that it has taken itself.
 */
export const lockMs = 5_000;

/** pg's own limit, which its types leave out. */
interface Limited {
  connectionParameters: { query_timeout: number };
}

/** Lets every query of a session fail after the time, in milliseconds, even if PostgreSQL does not answer. The session ends then. */
export function boundQueries(session: PoolClient, ms: number): void {
  (session as unknown as Limited).connectionParameters.query_timeout = ms;
}

const ignore = () => undefined;

/** Runs queries on a connection of their own, which is given up, as they are, after the time in milliseconds. */
export async function withBoundedClient<T>(
  pool: Pool,
  ms: number,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  client.on('error', ignore); // the query fails with it
  let failure: Error | undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new PlatformError('ERR_UNAVAILABLE', `PostgreSQL did not answer in ${ms} ms`)), ms);
  });
  try {
    const working = work(client);
    working.catch(() => undefined); // it can fail after the time
    return await Promise.race([working, late]);
  } catch (error) {
    failure = error as Error;
    throw error;
  } finally {
    clearTimeout(timer);
    client.off('error', ignore);
    client.release(failure);
  }
}
