import type { EventData } from '#contracts/index.ts';
import type { UserCreated } from '#contracts/users.ts';
import { writeAccepted } from '#platform/recovery';
import type { Recovery, Refused, Taken } from '#platform/recovery';
import type { PoolClient } from '#platform/postgres';
import { userEvents } from './events.ts';

/** The last event of a user. */
interface Last {
  eventId: string;
  version: number;
  /** undefined where the user was deleted */
  user: UserCreated | undefined;
}

interface Present {
  id: string;
  version: number;
  username: string;
  email: string;
}

// All changed rows leave before any comes: a username can have gone from one user to another.
const replace = {
  remove: 'DELETE FROM users WHERE id = ANY ($1::bigint[])',
  insert: `INSERT INTO users (id, username, email, first_name, last_name, status, version, created_at, updated_at)
    OVERRIDING SYSTEM VALUE
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::user_status[], $7::int[],
      $8::timestamptz[], $9::timestamptz[])`,
};

/**
 * How users takes back what its events say: the last event of a user is its state. The events themselves are in the topic, and do not
 * go through the outbox again.
 */
export const usersRecovery: Omit<Recovery, 'decode'> = {
  topic: userEvents.topic,
  sequence: 'users_id_seq',
  keyOf: ({ data }) => (data as EventData['user.deleted']).userId,
  begin: (tx) => {
    const lasts = new Map<number, Last>();
    return {
      take(events) {
        for (const { id, type, data } of events) {
          const { userId, version } = data as EventData['user.deleted'];
          const user = type === 'user.deleted' ? undefined : (data as UserCreated);
          if (version > (lasts.get(userId)?.version ?? 0)) lasts.set(userId, { eventId: id, version, user });
        }
        return Promise.resolve({ events: [], conflicts: [] });
      },
      finish: () => replaceUsers(tx, lasts),
    };
  },
};

async function replaceUsers(tx: PoolClient, lasts: ReadonlyMap<number, Last>): Promise<Taken & { refused: Refused[] }> {
  const { rows } = await tx.query<Present>(
    'SELECT id::text, version, username, email FROM users WHERE id = ANY ($1::bigint[])',
    [[...lasts.keys()]],
  );
  const present = new Map(rows.map((row) => [Number(row.id), row]));
  const changed = [...lasts].filter(([id, { version, user }]) => {
    const row = present.get(id);
    return row ? row.version < version : user !== undefined;
  });
  const conflicts = [...lasts].flatMap(([id, { eventId, version, user }]) => {
    const row = present.get(id);
    const isOther = row?.version === version && (row.username !== user?.username || row.email !== user.email);
    return isOther ? [eventId] : [];
  });
  const refused = await replaceAccepted(tx, changed);
  const isRefused = new Set(refused.map(({ id }) => id));
  const events = changed.flatMap(([, { eventId }]) => (isRefused.has(eventId) ? [] : [eventId]));
  return { events, conflicts, refused };
}

/** Replaces the users whose new state the database takes; the others stay as they are, which can keep a username from another. */
async function replaceAccepted(tx: PoolClient, changed: readonly [number, Last][]): Promise<Refused[]> {
  await tx.query('SAVEPOINT replaced');
  await tx.query(replace.remove, [changed.map(([id]) => id)]);
  const coming = changed.flatMap(([, { eventId, user }]) => (user ? [{ id: eventId, user }] : []));
  const refused = await writeAccepted(tx, coming, (some) => insert(tx, some));
  if (refused.length === 0) return [];
  await tx.query('ROLLBACK TO SAVEPOINT replaced');
  const isRefused = new Set(refused.map(({ id }) => id));
  const others = changed.filter(([, { eventId }]) => !isRefused.has(eventId));
  return [...refused, ...(await replaceAccepted(tx, others))];
}

async function insert(tx: PoolClient, coming: readonly { user: UserCreated }[]): Promise<void> {
  const users = coming.map(({ user }) => user);
  await tx.query(replace.insert, [
    users.map(({ userId }) => userId),
    users.map(({ username }) => username),
    users.map(({ email }) => email),
    users.map(({ firstName }) => firstName),
    users.map(({ lastName }) => lastName),
    users.map(({ status }) => status),
    users.map(({ version }) => version),
    users.map(({ createdAt }) => createdAt),
    users.map(({ updatedAt }) => updatedAt),
  ]);
}
