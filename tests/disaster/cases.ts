import type { Request } from '../chaos/ledger.ts';
import type { Stand } from './stand.ts';

/** The databases, those of consumers before those of the services whose events they read, as a backup takes them. */
const databases = ['notifications', 'analytics', 'orders-read', 'orders', 'users'];
const seconds = 8;
/** How long before a backup the events are published again from: clocks differ. */
const marginMs = 60_000;

const groups = { 'orders-projection': 'orders', notifications: 'notifications', analytics: 'analytics' };
const topics = ['order-events', 'user-events'];

const before = (time: number) => new Date(time - marginMs).toISOString();

/** A disaster and what docs/disaster.md does about it. `run` begins with a platform that is at rest. */
export const cases: Record<string, (stand: Stand) => Promise<void>> = {
  orders: (stand) => oneDatabase(stand, 'orders'),
  users: (stand) => oneDatabase(stand, 'users'),
  'orders-read': (stand) => oneDatabase(stand, 'orders-read'),
  notifications: (stand) => oneDatabase(stand, 'notifications'),
  analytics: (stand) => oneDatabase(stand, 'analytics'),

  /** All databases are put back, and Kafka has what came later. */
  databases: async (stand) => {
    for (const database of databases) await stand.backUp(database);
    await stand.load(seconds);
    await stand.quiet();
    for (const database of databases) await stand.putBack(database);
    for (const service of ['users', 'orders']) await stand.run('recover', service);
  },

  /** Kafka is lost, with events that two groups have not read. */
  kafka: async (stand) => {
    await stand.load(seconds, () => Promise.resolve(stand.freeze('notifications', 'analytics')));
    const lost = Date.now();
    await stand.loseKafka();
    stand.thaw('notifications', 'analytics');
    await decideAndRepublish(stand, lost - seconds * 1000);
  },

  /** Kafka is put back to an earlier time than the databases. */
  'older-kafka': async (stand) => {
    const backup = Date.now();
    await stand.backUpKafka();
    await stand.load(seconds);
    await stand.quiet();
    await stand.putKafkaBack();
    for (const [group, service] of Object.entries(groups)) {
      await stand.untilHealth(service, 'was truncated or restored');
      for (const topic of topics) await stand.run('offsets', 'end', group, topic);
    }
    for (const service of ['users', 'orders']) await stand.run('republish', service, '--since', before(backup));
  },

  /** Everything is lost, and the databases come from backups that were made one after the other while orders came. */
  everything: async (stand) => {
    const backup = Date.now();
    const known = stand.ledger.requests.length;
    await stand.load(seconds, async () => {
      for (const database of databases) await stand.backUp(database);
    });
    await stand.quiet();
    for (const database of databases) {
      await stand.putBack(database);
      await stand.fromAnotherServer(database);
    }
    await stand.loseKafka();
    stand.ledger.requests.slice(known).forEach(forgive);
    await decideAndRepublish(stand, backup);
    for (const service of ['users', 'orders']) await stand.run('recover', service);
  },
};

async function oneDatabase(stand: Stand, database: string): Promise<void> {
  await stand.backUp(database);
  await stand.load(seconds);
  await stand.quiet();
  await stand.putBack(database);
  if (database === 'orders' || database === 'users') await stand.run('recover', database);
}

/** What a new Kafka needs: the whole history, of which analytics counts only what it may not have counted yet. */
async function decideAndRepublish(stand: Stand, lost: number): Promise<void> {
  for (const service of ['users', 'orders']) await stand.run('republish', service, '--from', '1');
  for (const group of ['orders-projection', 'notifications'])
    for (const topic of topics) await stand.run('offsets', 'restart', group, topic);
  await stand.quietOutboxes();
  for (const topic of topics) await stand.run('offsets', 'end', 'analytics', topic);
  for (const service of ['users', 'orders']) await stand.run('republish', service, '--since', before(lost));
}

/** What was acknowledged after a backup may be lost with everything that knew it. */
function forgive(request: Request): void {
  request.outcomes = request.outcomes.map((outcome) => (outcome === 'done' ? 'unknown' : outcome));
}
