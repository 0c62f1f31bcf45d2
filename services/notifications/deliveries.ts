import { hostname } from 'node:os';
import type { Pool } from '#platform/postgres';

/** A notification that a sender has claimed, with the present data of its recipient. */
export interface Claim {
  id: string;
  userId: string;
  eventId: string;
  type: string;
  subject: string;
  body: string;
  attempts: number;
  /** how often the mail was handed over without an answer */
  copies: number;
  /** how long ago the notification was made, in milliseconds by the clock of PostgreSQL */
  ageMs: number;
  traceparent: string | null;
  /** whether any event of the user has arrived */
  known: boolean;
  /** null if the user is deleted or not known yet */
  email: string | null;
  firstName: string | null;
  lastName: string | null;
}

/**
 * The result of an attempt. A PENDING mail is tried again; `counts` tells whether this attempt adds to its `attempts`, and `isCopy`
 * whether the mail was handed over without an answer.
 */
export type DeliveryResult = { id: string; recipient: string | null } & (
  | { status: 'SENT' }
  | { status: 'FAILED'; error: string }
  | { status: 'PENDING'; error: string; retryInMs: number; counts: boolean; isCopy: boolean }
);

// The statements have no name: PostgreSQL would keep the plan that it has made for a short list, and read all of a long one for each mail.
const claimSql = `
  WITH due AS MATERIALIZED (
    SELECT notification_id, due_at FROM deliveries
    WHERE due_at >= $3::timestamptz - interval '2 seconds' AND due_at <= now() AND (claimed_until IS NULL OR claimed_until < now())
      AND notification_id <> ALL($5::bigint[])
    ORDER BY due_at, notification_id LIMIT $1 FOR UPDATE SKIP LOCKED
  ), claimed AS (
    UPDATE deliveries d SET claimed_until = now() + $2 * interval '1 millisecond', claimed_by = $4
    FROM due WHERE d.notification_id = due.notification_id
    RETURNING d.notification_id AS id, d.traceparent, d.copies
  )
  SELECT n.id, n.user_id AS "userId", n.event_id AS "eventId", n.type, n.subject, n.body, n.attempts, claimed.copies, claimed.traceparent,
    extract(epoch FROM now() - n.created_at)::float8 * 1000 AS "ageMs",
    r.user_id IS NOT NULL AS known, r.email, r.first_name AS "firstName", r.last_name AS "lastName",
    (SELECT min(due_at)::text FROM due) AS "firstDue"
  FROM claimed JOIN notifications n USING (id) LEFT JOIN recipients r ON r.user_id = n.user_id
  ORDER BY n.id`;

// It waits for no row: a session that hangs in the server, also one of this process, can hold some of them for hours.
const settleSql = `
  WITH free AS MATERIALIZED (
    SELECT n.id FROM deliveries d JOIN notifications n ON n.id = d.notification_id
    WHERE d.notification_id = ANY($1::bigint[]) FOR UPDATE OF d, n SKIP LOCKED
  ), outcome AS MATERIALIZED (
    SELECT t.* FROM unnest($1::bigint[], $2::notification_status[], $3::text[], $4::text[], $5::int[], $6::bool[], $7::bool[])
      AS t (id, status, recipient, error, retry_in_ms, counts, is_copy) JOIN free USING (id)
  ), noted AS (
    UPDATE notifications n SET status = o.status, attempts = n.attempts + o.counts::int, recipient = o.recipient,
      last_error = o.error, sent_at = CASE WHEN o.status = 'SENT' THEN now() END
    FROM outcome o WHERE n.id = o.id AND n.status = 'PENDING'
  ), finished AS (
    DELETE FROM deliveries d USING outcome o WHERE d.notification_id = o.id AND o.status <> 'PENDING'
  ), postponed AS (
    UPDATE deliveries d SET due_at = now() + o.retry_in_ms * interval '1 millisecond', claimed_until = NULL, claimed_by = NULL,
      copies = d.copies + o.is_copy::int
    FROM outcome o WHERE d.notification_id = o.id AND o.status = 'PENDING'
  )
  SELECT notification_id AS id FROM deliveries
  WHERE notification_id = ANY($1::bigint[]) AND notification_id NOT IN (SELECT id FROM free)`;

const releaseSql = `
  UPDATE deliveries d SET claimed_until = NULL, claimed_by = NULL
  FROM (
    SELECT notification_id FROM deliveries
    WHERE claimed_by = ANY($1::text[]) AND claimed_until IS NOT NULL AND notification_id <> ALL($2::bigint[])
    FOR UPDATE SKIP LOCKED
  ) free WHERE d.notification_id = free.notification_id`;

const everything = '-infinity';

/** How long a claim may take effect after its answer was lost, in milliseconds: its session can hang before it commits. */
const lateMs = 120_000;

export interface DeliveriesOptions {
  /** names this process; default: its host and its process id */
  owner?: string;
  /** the pause between scans from the start, in milliseconds, for expired claims and late commits; default 5,000 */
  rescanMs?: number;
}

/** The senders' work list in the database; any number of processes may share it. */
export class Deliveries {
  readonly #pool: Pool;
  readonly #owner: string;
  readonly #rescanMs: number;
  /** until when claims can take effect that nobody knows of */
  #lostUntil = Number.NEGATIVE_INFINITY;
  #floor = everything;
  #scannedAt = Number.NEGATIVE_INFINITY;

  constructor(pool: Pool, { owner = ownerOf(process.pid), rescanMs = 5_000 }: DeliveriesOptions = {}) {
    this.#pool = pool;
    this.#owner = owner;
    this.#rescanMs = rescanMs;
  }

  /**
   * Claims due notifications, the longest due first. No other sender gets them until they are settled or released, or until
   * the lease expires because the sender died.
   *
   * A claim usually scans from the start of the last one. Before that, the index is full of entries that died since the last
   * vacuum, tens of thousands under load, and to skip them takes longer than all other work.
   *
   * All earlier claims of this process must be settled or released, but for those in `kept`: where the answer of one was lost, this
   * releases the others. It claims none in `kept`, though their leases may have ended.
   */
  async claim(limit: number, leaseMs: number, kept: readonly string[] = []): Promise<Claim[]> {
    const now = performance.now();
    if (now - this.#scannedAt >= this.#rescanMs) {
      if (now < this.#lostUntil) await this.#releaseOf([this.#owner], kept);
      this.#floor = everything;
      this.#scannedAt = now;
    }
    const { rows } = await this.#noteLoss(
      this.#pool.query<Claim & { firstDue: string }>({
        text: claimSql,
        values: [limit, leaseMs, this.#floor, this.#owner, kept],
      }),
    );
    if (rows[0]) this.#floor = rows[0].firstDue;
    return rows;
  }

  /** Writes results, in one statement. @returns the ids of those that are not written, because another session holds their rows */
  async settle(outcomes: readonly DeliveryResult[]): Promise<string[]> {
    const { rows } = await this.#pool.query<{ id: string }>({
      text: settleSql,
      values: [
        outcomes.map((outcome) => outcome.id),
        outcomes.map((outcome) => outcome.status),
        outcomes.map((outcome) => outcome.recipient),
        outcomes.map((outcome) => ('error' in outcome ? outcome.error : null)),
        outcomes.map((outcome) => ('retryInMs' in outcome ? outcome.retryInMs : 0)),
        outcomes.map((outcome) => outcome.status !== 'PENDING' || outcome.counts),
        outcomes.map((outcome) => outcome.status === 'PENDING' && outcome.isCopy),
      ],
    });
    return rows.map(({ id }) => id);
  }

  /** Releases claims that were not tried: they are due as before. */
  async release(ids: readonly string[]): Promise<void> {
    this.#floor = everything;
    await this.#noteLoss(
      this.#pool.query(
        'UPDATE deliveries SET claimed_until = NULL, claimed_by = NULL WHERE notification_id = ANY($1::bigint[])',
        [ids],
      ),
    );
  }

  /** Which of these still wait. */
  async waiting(ids: readonly string[]): Promise<string[]> {
    const { rows } = await this.#pool.query<{ id: string }>(
      'SELECT notification_id AS id FROM deliveries WHERE notification_id = ANY($1::bigint[])',
      [ids],
    );
    return rows.map(({ id }) => id);
  }

  /** Releases the claims of processes of this host that have ended, such as the one before this; they were killed. */
  async releaseEnded(): Promise<void> {
    const { rows } = await this.#pool.query<{ owner: string }>(
      `SELECT DISTINCT claimed_by AS owner FROM deliveries WHERE claimed_until > now() AND starts_with(claimed_by, $1)`,
      [ownerOf('')],
    );
    // in a container, the process before this had the same id
    const ended = rows.filter(({ owner }) => owner === this.#owner || !isRunning(owner));
    if (ended.length > 0) await this.#releaseOf(ended.map(({ owner }) => owner));
  }

  async #noteLoss<T>(change: Promise<T>): Promise<T> {
    try {
      return await change;
    } catch (error) {
      this.#lostUntil = performance.now() + lateMs;
      throw error;
    }
  }

  async #releaseOf(owners: readonly string[], kept: readonly string[] = []): Promise<void> {
    await this.#pool.query(releaseSql, [owners, kept]);
  }

  /** The number of PENDING notifications, and the age of the oldest in seconds whose recipient is known. */
  async backlog(): Promise<{ pending: number; oldestSeconds: number }> {
    const { rows } = await this.#pool.query<{ pending: number; oldest: number | null }>(
      `SELECT count(*)::int AS pending,
         (SELECT extract(epoch FROM now() - n.created_at)::float8 FROM deliveries o JOIN notifications n ON n.id = o.notification_id
          WHERE EXISTS (SELECT FROM recipients r WHERE r.user_id = n.user_id)
          ORDER BY o.notification_id LIMIT 1) AS oldest
       FROM deliveries`,
    );
    return { pending: rows[0]!.pending, oldestSeconds: rows[0]!.oldest ?? 0 };
  }
}

function ownerOf(pid: number | ''): string {
  return `${hostname()}/${pid}`;
}

function isRunning(owner: string): boolean {
  try {
    process.kill(Number(owner.slice(ownerOf('').length)), 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== 'ESRCH';
  }
}
