import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createKafka } from '#platform/kafka';
import type { IncomingMessage, Kafka } from '#platform/kafka';
import { deleteTopic } from '#platform/kafka/testing/administer.ts';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { clientOf, lamp, log } from './testing.ts';
import type { Send } from './testing.ts';

/** Kafka takes half a minute to detect that a consumer was killed. */
const waitMs = 60_000;
/** how soon others go on with the work of a process that stands still */
const takeOverMs = 20_000;
const main = fileURLToPath(new URL('main.ts', import.meta.url));

async function withKafka<T>(work: (kafka: Kafka) => Promise<T>): Promise<T> {
  const kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'orders-test', log });
  try {
    return await work(kafka);
  } finally {
    await kafka.close();
  }
}

interface Stage {
  topic: string;
  /** the consumer group of the projection */
  group: string;
  write: TestDatabase;
  read: TestDatabase;
  env: Record<string, string>;
  /** the number of lookups of each user */
  lookups: Map<string, number>;
}

/** Databases, topics, a declaration and a users service that only the replicas of this test use. */
async function stage(t: TestContext): Promise<Stage> {
  const [write, read, topic, userTopic] = await Promise.all([
    createTestDatabase('orders'),
    createTestDatabase('orders-read'),
    uniqueTopic('order-events').catch(() => uniqueTopic('order-events')),
    uniqueTopic('user-events').catch(() => uniqueTopic('user-events')),
  ]);
  // every replica consumes user-events itself, to clear its cache
  await withKafka((kafka) => kafka.admin.ensureTopics([{ name: 'user-events', partitions: 6, retentionMs: -1 }]));

  const { rows } = await write.pool.query<{ sql: string }>(`SELECT pg_get_viewdef('outbox') AS sql`);
  await write.pool.query(`CREATE OR REPLACE VIEW outbox AS ${rows[0]!.sql.replace("'order-events'", `'${topic}'`)}`);

  const declarations = mkdtempSync(join(tmpdir(), 'orders-'));
  mkdirSync(join(declarations, 'services'));
  const group = `projection-${topic}`;
  const spec = {
    port: 8082,
    consumes: [{ group, topics: [topic, userTopic], database: 'orders-read' }],
  };
  const declaration = { kind: 'EventService', metadata: { name: 'orders' }, spec };
  writeFileSync(join(declarations, 'services/orders.yaml'), JSON.stringify(declaration));

  const lookups = new Map<string, number>();
  const users = createServer((request, response) => {
    lookups.set(request.url!, (lookups.get(request.url!) ?? 0) + 1);
    response.end('{"username":"ada","email":"ada@example.org"}');
  });
  users.listen(0, '127.0.0.1');
  await once(users, 'listening');
  t.after(async () => {
    users.closeAllConnections();
    users.close();
    rmSync(declarations, { recursive: true });
    await Promise.all([write.drop(), read.drop()]);
  });
  const env = {
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'info',
    KAFKA_BROKERS: testKafka().brokers,
    DATABASE_URL: write.url,
    READ_DATABASE_URL: read.url,
    USERS_URL: `http://127.0.0.1:${(users.address() as AddressInfo).port}`,
    MILLRACE_DECLARATIONS: declarations,
  };
  return { topic, group, write, read, env, lookups };
}

interface Replica {
  process: ChildProcess;
  send: Send;
  /** its logs at level error or fatal */
  errors: string[];
  stop(signal: NodeJS.Signals): Promise<unknown>;
}

/** Starts a process of orders and waits until it serves. */
async function startReplica(t: TestContext, env: Record<string, string>): Promise<Replica> {
  const child = spawn(process.execPath, ['--no-warnings', main], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const errors: string[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const entry = JSON.parse(line) as { level: string; msg: string; port?: number };
      if (entry.level === 'error' || entry.level === 'fatal') errors.push(line);
      if (entry.msg === 'listening') resolve(entry.port!);
    });
    void exited.then(([code]) => reject(new Error(`orders ended with code ${String(code)}: ${errors.join('\n')}`)));
  });
  const stop = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return exited.then(([code]) => code as unknown);
  };
  return { process: child, send: clientOf(`http://127.0.0.1:${port}`), errors, stop };
}

/**
 * Places orders and changes their status, on any replica; returns the number of accepted orders.
 * @param refused gets the reason for each other order
 */
async function drive(pick: () => Send, clients: number, ordersEach: number, refused: string[] = []): Promise<number> {
  let accepted = 0;
  const attempt = async (...request: Parameters<Send>) => {
    try {
      return await pick()(...request);
    } catch (error) {
      return { status: 0, reason: String((error as Error).cause ?? error) }; // the replica was killed
    }
  };
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let n = 0; n < ordersEach; n++) {
        const placed = await attempt('POST', '/orders', { userId: 1 + (client % 7), items: [lamp] });
        if (placed.status !== 201 || !('body' in placed)) {
          refused.push(JSON.stringify(placed));
          continue;
        }
        accepted += 1;
        const path = `/orders/${placed.body.id}`;
        const steps = [['CONFIRMED'], ['CONFIRMED', 'SHIPPED', 'DELIVERED'], ['CANCELLED'], []][n % 4]!;
        // the same change on two replicas at once: one of them succeeds
        for (const status of steps) {
          await Promise.all([1, 2].map(() => attempt('PUT', `${path}/status`, { status })));
        }
        if (n % 5 === 0) await attempt('DELETE', path);
      }
    }),
  );
  return accepted;
}

interface Stored {
  event_id: string;
  key: string;
}

/** The outbox as the event store has it. */
async function storedEvents({ write }: Stage): Promise<Stored[]> {
  return (await write.pool.query<Stored>('SELECT event_id, key FROM outbox')).rows;
}

/** Reads a topic until it has had `count` different events. */
function readTopic(topic: string, count: number): Promise<IncomingMessage[]> {
  return withKafka(async (kafka) => {
    const messages: IncomingMessage[] = [];
    const ids = new Set<string>();
    const consumer = kafka.consumer({
      group: `reader-${topic}`,
      topics: [topic],
      from: 'earliest',
      onBatch(batch) {
        for (const message of batch.messages) {
          messages.push(message);
          ids.add(message.headers['ce_id']!);
        }
        return Promise.resolve(true);
      },
    });
    consumer.start();
    try {
      await eventually(() => ids.size >= count, 'every event is in the topic', waitMs);
    } finally {
      await consumer.stop();
    }
    assert.equal(ids.size, count, 'no other event is in the topic');
    return messages;
  });
}

/** Any user event makes each replica look up its user again. */
async function checkForgetting({ lookups }: Stage, replicas: Replica[]): Promise<void> {
  const user = 987_654;
  const asked = () => lookups.get(`/users/${user}`) ?? 0;
  const place = ({ send }: Replica) => send('POST', '/orders', { userId: user, items: [lamp] });
  for (const replica of replicas) await place(replica);
  assert.equal(asked(), replicas.length);
  await withKafka(async (kafka) => {
    const producer = await kafka.producer();
    const key = String(user);
    const partition = await producer.partitionFor('user-events', key);
    await producer.send('user-events', partition, [{ key, value: Buffer.from('{}'), headers: {} }]);
    await producer.close();
  });
  for (const replica of replicas) {
    const earlier = asked();
    const hasAsked = async () => {
      await place(replica);
      return asked() > earlier;
    };
    await eventually(hasAsked, 'the replica has forgotten the user', waitMs);
    assert.equal(asked(), earlier + 1);
  }
}

/** The first copies of an order's events in its partition have the versions 1, 2, 3, ... */
function checkOrderPerKey(messages: IncomingMessage[]): void {
  const versions = new Map<string, number>();
  const partitions = new Map<string, number>();
  for (const { key, partition, headers } of messages) {
    assert.equal(partitions.get(key!) ?? partition, partition, `order ${key} is in one partition`);
    partitions.set(key!, partition);
    const version = Number(headers['ce_id']!.split('-')[2]);
    const last = versions.get(key!) ?? 0;
    assert.ok(version <= last + 1, `order ${key}: version ${version} came after ${last}`);
    versions.set(key!, Math.max(version, last));
  }
}

const stateOf = `SELECT id, status, version, is_deleted FROM orders ORDER BY id`;
const countsOf = `SELECT status, count(*)::int AS n FROM orders WHERE NOT is_deleted GROUP BY status ORDER BY status`;

/** Waits until the read model has every version of the write database, then compares all of both. */
async function checkProjection({ write, read }: Stage): Promise<void> {
  const total = 'SELECT coalesce(sum(version), 0)::int AS n FROM orders';
  const wanted = (await write.pool.query(total)).rows[0].n as number;
  const projected = async () => (await read.pool.query(total)).rows[0].n as number;
  await eventually(async () => (await projected()) >= wanted, 'every event is projected', waitMs);
  assert.equal(await projected(), wanted);
  assert.deepEqual((await read.pool.query(stateOf)).rows, (await write.pool.query(stateOf)).rows);
  const { rows: counts } = await read.pool.query(
    'SELECT status, sum(orders)::int AS n FROM order_statistics GROUP BY status HAVING sum(orders) <> 0 ORDER BY status',
  );
  assert.deepEqual(counts, (await write.pool.query(countsOf)).rows, 'each event is counted exactly once');
}

/** Runs a command of the platform beside a service, with its environment, and returns what it prints. */
async function operate({ env }: Stage, part: 'inbox' | 'outbox', ...args: string[]): Promise<string> {
  const program = fileURLToPath(import.meta.resolve(`#platform/${part}/main.ts`));
  const options = { env: { ...process.env, ...env } };
  const { stdout } = await promisify(execFile)(process.execPath, ['--no-warnings', program, ...args], options);
  return stdout;
}

/** Places orders of one item, one after the other, all of which are accepted. */
async function placeAll(send: Send, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const { status, body } = await send('POST', '/orders', { userId: 1, items: [lamp] });
    assert.equal(status, 201, JSON.stringify(body));
  }
}

/** The number of the topic's partitions with projected events. */
async function partitionsConsumed({ read, topic }: Stage): Promise<number> {
  const { rows } = await read.pool.query('SELECT count(*)::int AS n FROM millrace.inbox_offsets WHERE topic = $1', [
    topic,
  ]);
  return rows[0].n as number;
}

describe('two replicas of orders', () => {
  test('keep the order of each key in Kafka, and each event is projected exactly once', async (t) => {
    const all = await stage(t);
    const replicas = await Promise.all([startReplica(t, all.env), startReplica(t, all.env)]);
    let turn = 0;
    const refused: string[] = [];
    const accepted = await drive(() => replicas[turn++ % 2]!.send, 16, 20, refused);
    assert.equal(accepted, 320, refused.join('\n'));
    await checkForgetting(all, replicas);
    const stored = await storedEvents(all);
    const messages = await readTopic(all.topic, stored.length);
    checkOrderPerKey(messages);
    await checkProjection(all);
    assert.equal(await partitionsConsumed(all), 6);
    for (const replica of replicas) assert.equal(await replica.stop('SIGTERM'), 0);
    assert.deepEqual(
      replicas.flatMap(({ errors }) => errors),
      [],
    );
  });

  test('lose nothing when one is killed and another one drained in the middle', async (t) => {
    const all = await stage(t);
    const [killed, drained] = await Promise.all([startReplica(t, all.env), startReplica(t, all.env)]);
    let pick = [killed, drained];
    let turn = 0;
    const driving = drive(() => pick[turn++ % pick.length]!.send, 16, 30);
    const orders = async () =>
      (await all.write.pool.query('SELECT count(*)::int AS n FROM orders')).rows[0].n as number;
    await eventually(async () => (await orders()) >= 80, 'some orders', waitMs);
    const spare = await startReplica(t, all.env);
    pick = [drained, spare];
    await killed.stop('SIGKILL');
    await eventually(async () => (await orders()) >= 240, 'more orders', waitMs);
    pick = [spare];
    assert.equal(await drained.stop('SIGTERM'), 0, drained.errors.join('\n'));
    const accepted = await driving;
    assert.ok((await orders()) >= accepted, 'all accepted orders are stored');
    const messages = await readTopic(all.topic, (await storedEvents(all)).length);
    checkOrderPerKey(messages);
    await checkProjection(all);
    assert.equal(await spare.stop('SIGTERM'), 0);
  });
});

// these wait most of the time
describe('orders', { concurrency: true }, () => {
  test('goes on within 20 s with the events of a replica that stands still, which changes nothing when it goes on itself', async (t) => {
    const all = await stage(t);
    const [frozen, other] = await Promise.all([startReplica(t, all.env), startReplica(t, all.env)]);
    const owners = async () => {
      const { rows } = await all.write.pool.query('SELECT count(DISTINCT owner)::int AS n FROM millrace.outbox_shards');
      return rows[0].n as number;
    };
    await placeAll(frozen.send, 20);
    await checkProjection(all);
    await eventually(async () => (await owners()) === 2, 'each publishes a share');
    const placing = placeAll(frozen.send, 50).catch(() => undefined); // its process has some of them under way
    const placed = async () =>
      (await all.write.pool.query('SELECT count(*)::int AS n FROM orders')).rows[0].n as number;
    await eventually(async () => (await placed()) > 20, 'some of them');
    frozen.process.kill('SIGSTOP');
    await placeAll(other.send, 50);
    const since = performance.now();
    await checkProjection(all);
    assert.ok(performance.now() - since < takeOverMs, 'in time');
    assert.equal(await owners(), 1);
    frozen.process.kill('SIGCONT');
    await placing;
    await placeAll(other.send, 20);
    await eventually(async () => (await owners()) === 2, 'each publishes a share again', waitMs);
    await checkProjection(all);
    checkOrderPerKey(await readTopic(all.topic, (await storedEvents(all)).length));
    for (const replica of [frozen, other]) assert.equal(await replica.stop('SIGTERM'), 0);
  });

  test('says what to do where Kafka has lost its data, and two commands bring every event back, each with its effect once', async (t) => {
    const all = await stage(t);
    const { topic, group } = all;
    const replica = await startReplica(t, all.env);
    assert.equal(await drive(() => replica.send, 4, 5), 20);
    await checkProjection(all);
    await deleteTopic(topic);
    await withKafka(async ({ admin }) => {
      await eventually(
        async () => {
          await admin.ensureTopics([{ name: topic, partitions: 6, retentionMs: -1 }]);
          return (await admin.topics()).includes(topic);
        },
        'the topic is there again, and empty',
        waitMs,
      );
    });
    await placeAll(replica.send, 5);
    const decision = await eventually(
      async () => {
        const { body } = await replica.send('GET', '/health');
        return /created again after .* Decide: npm run offsets -- (restart \S+ \S+) reads it/.exec(
          JSON.stringify(body),
        )?.[1];
      },
      'the health says so',
      waitMs,
    );
    assert.equal(decision, `restart ${group} ${topic}`);
    const stored = await storedEvents(all);
    assert.match(await operate(all, 'outbox', 'republish', '--from', '1'), /^\d+ events of outbox are published again/);
    await operate(all, 'inbox', ...decision.split(' '));
    await checkProjection(all);
    await readTopic(topic, stored.length);
    let body: unknown;
    await eventually(
      async () => {
        const answer = await replica.send('GET', '/health');
        body = answer.body;
        return answer.status === 200;
      },
      () => `it is well again: ${JSON.stringify(body)}`,
    );
    assert.equal(await replica.stop('SIGTERM'), 0);
  });
});
