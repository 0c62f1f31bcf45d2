import type { Data, Hops, State, StoredEvent, TopicRecord } from './hops.ts';
import { figuresOf } from './consumers.ts';
import type { Request } from './ledger.ts';
import { randomOf } from '#test/random.ts';

const nextStatus: Record<string, string> = { PENDING: 'CONFIRMED', CONFIRMED: 'SHIPPED', SHIPPED: 'DELIVERED' };

/** The hops and the requests of a run in which nothing went wrong, with repeated records and requests of every outcome. */
export function soundRun(seed: number): { hops: Hops; requests: Request[] } {
  const random = randomOf(seed);
  const requests: Request[] = [];
  const events: Record<'users' | 'orders', StoredEvent[]> = { users: [], orders: [] };
  const state = { users: new Map<string, State>(), orders: new Map<string, State>() };
  for (let i = 1; i <= 3; i++) {
    const [userId, username] = [String(i), `user${i}`];
    const data = { userId: i, username, lastName: 'First', status: 'ACTIVE', version: 1 };
    events.users.push({ id: `user-${i}-1`, key: userId, version: 1, type: 'user.created', data });
    state.users.set(userId, { version: 1 });
    requests.push({ kind: 'register', mark: username, outcomes: ['done'] });
  }
  for (let i = 1; i <= random.int(1, 20); i++) {
    const orderId = String(i);
    const common = { orderId: i, userId: random.int(1, 3), totalAmount: random.int(1, 9_999) / 100 };
    const write = (version: number, type: string, data: Data): void => {
      events.orders.push({ id: `order-${i}-${version}`, key: orderId, version, type, data: { ...common, ...data } });
      state.orders.set(orderId, { version, status: String(data['status']), isDeleted: type === 'order.deleted' });
    };
    let status = 'PENDING';
    write(1, 'order.created', { status, notes: `mark${i}` });
    requests.push({ kind: 'place', mark: `mark${i}`, outcomes: [random.pick(['done', 'unknown'] as const)] });
    let version = 1;
    while (nextStatus[status] !== undefined && random.chance(0.6)) {
      status = nextStatus[status]!;
      version += 1;
      write(version, 'order.status-changed', { status, version });
      requests.push({ kind: 'step', orderId, version, status, outcomes: ['refused', 'done'] });
    }
    if (random.chance(0.3)) {
      version += 1;
      write(version, 'order.deleted', { status, version });
      requests.push({ kind: 'delete', orderId, version, outcomes: ['done'] });
    }
  }
  requests.push({ kind: 'place', mark: 'refused', outcomes: ['refused'] });
  requests.push({ kind: 'place', mark: 'unknown', outcomes: ['unknown'] });
  return { hops: hopsOf(events, state, random.int(0, 5)), requests };
}

function hopsOf(
  events: Record<'users' | 'orders', StoredEvent[]>,
  state: Record<'users' | 'orders', Map<string, State>>,
  repeated: number,
): Hops {
  const records = [...publish('user-events', events.users), ...publish('order-events', events.orders, repeated)];
  const first = records.filter(({ id }, i) => records.findIndex((record) => record.id === id) === i);
  const mails = first.filter(({ type }) => type !== 'order.deleted').map(({ id }) => id!);
  return {
    aggregates: [
      {
        name: 'users',
        topic: 'user-events',
        state: state.users,
        events: events.users,
        readModels: new Map([['orders-projection', new Map(state.users)]]),
      },
      {
        name: 'orders',
        topic: 'order-events',
        state: state.orders,
        events: events.orders,
        readModels: new Map([['orders-projection', new Map(state.orders)]]),
      },
    ],
    records,
    figures: figuresOf(first),
    notifications: mails.map((eventId) => ({ eventId, status: 'SENT', error: null })),
    mails,
    deadLetters: [],
    recreated: new Set(),
  };
}

/** The events in two partitions; the last ones of each are sent again. */
function publish(topic: string, events: readonly StoredEvent[], repeated = 0): TopicRecord[] {
  return [0, 1].flatMap((partition) => {
    const own = events.filter(({ key }) => Number(key) % 2 === partition);
    const sent = [...own, ...own.slice(Math.max(0, own.length - repeated))];
    return sent.map(({ id, key, type, data }, offset) => ({ topic, partition, offset, key, id, type, data }));
  });
}
