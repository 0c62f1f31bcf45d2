import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import { databaseUrl, ensureDatabases } from '#local/databases.ts';
import { createDecoder, encodeHeaders, readJson } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { createKafka } from '#platform/kafka';
import type { IncomingMessage, Kafka, OutgoingMessage, Producer } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { OutboxRelay } from '#platform/outbox';
import { createPool, dropDatabaseAndRole, transaction, withClient } from '#platform/postgres';
import type { Pool, PoolClient } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { testServers } from '#test/servers.ts';
import { shapeOf } from '#test/shape.ts';
import { migrate } from './migrate.ts';
import { platformMigrations } from './platform.ts';
import * as released from './testing/released.ts';

const log = createLogger('move-test', 'silent');
const { postgres } = testServers();
const fixture = readFileSync(new URL('./testing/0.1.0.sql', import.meta.url), 'utf8');

interface StoredEvent {
  shard: number;
  xid: string;
  id: string | null;
  key: string;
  event_id: string;
  type: string;
  source: string;
  data: Buffer;
  created_at: Date;
  head: boolean;
}

function toMessage({ key, event_id: id, type, source, data, created_at: time }: StoredEvent): OutgoingMessage {
  return { key, value: data, headers: encodeHeaders({ id, type, source, subject: key, time }) };
}

/** Simulates a pod of version 0.1.0 until it is stopped; repeats a round that did not get its lock. */
class OldPod {
  readonly #pool: Pool;
  readonly #topic: string;
  readonly #producer: Producer;
  readonly #loops: Promise<void>[] = [];
  #isStopped = false;
  #appended = 0;
  #round = Promise.withResolvers<void>();
  /** the last event of each key */
  readonly written = new Map<string, number>();
  moves = 0;
  published = 0;

  constructor(pool: Pool, topic: string, producer: Producer) {
    this.#pool = pool;
    this.#topic = topic;
    this.#producer = producer;
  }

  start(): void {
    const starts = { 1: 15, 2: 15, 3: 0 };
    for (const [key, n] of Object.entries(starts)) {
      this.written.set(key, n);
      this.#loops.push(
        this.#repeat(async () => {
          await this.#room();
          await transaction(this.#pool, (tx) => this.#append(tx, key));
          this.#wrote(key);
        }),
      );
    }
    this.written.set('4', 0);
    this.#loops.push(
      this.#repeat(() => this.#consume()),
      this.#relay(),
    );
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#round.resolve();
    await Promise.allSettled(this.#loops);
    await Promise.all(this.#loops);
  }

  async #repeat(round: () => Promise<void>): Promise<void> {
    while (!this.#isStopped) {
      await round().catch((error: { code?: string }) => {
        if (error.code !== '40P01') throw error; // a deadlock, after which it is tried again
      });
    }
  }

  /** Writes no faster than it publishes, however slow the machine is. */
  async #room(): Promise<void> {
    while (this.#appended > this.published + 100 && !this.#isStopped) await this.#round.promise;
  }

  #wrote(key: string): void {
    this.#appended += 1;
    this.written.set(key, this.written.get(key)! + 1);
  }

  async #append(tx: PoolClient, key: string): Promise<void> {
    const n = this.written.get(key)! + 1;
    const data = Buffer.from(JSON.stringify({ n }));
    const row = [this.#topic, key, `${key}-${n}`, 'test.happened', '/released', data, null, null];
    await tx.query({ name: 'outbox-append', text: released.appendSql, values: row.map((value) => [value]) });
  }

  /** An offset, a dead letter and an event in one transaction. */
  async #consume(): Promise<void> {
    await this.#room();
    const offset = 100 + this.moves;
    await transaction(this.#pool, async (tx) => {
      const values = ['running-group', ['others'], [0], [offset], [offset + 1]];
      const { rowCount } = await tx.query({ name: 'inbox-move-offsets', text: released.moveOffsetsSql, values });
      assert.equal(rowCount, 1, `the offset is ${offset}`);
      const deadLetter = [['others'], [0], [offset], ['k'], [Buffer.from('{}')], ['{}'], [new Date()], ['no'], [5]];
      await tx.query({
        name: 'inbox-dead-letters',
        text: released.deadLettersSql,
        values: ['running-group', ...deadLetter],
      });
      await this.#append(tx, '4');
    });
    this.moves += 1;
    this.#wrote('4');
    await this.#pool.query(released.initOffsetsSql, ['running-group', ['others'], [0], [0]]); // as after a rebalance
  }

  async #relay(): Promise<void> {
    const session = await this.#pool.connect();
    await this.#publish(session).finally(() => session.release(true));
  }

  async #publish(session: PoolClient): Promise<void> {
    const owner = 'version 0.1.0';
    const shards = [0, 1, 2, 3];
    const cursors = new Map<number, { xid: string; id: string }>();
    const columns = () => [
      [...cursors.keys()],
      [...cursors.values()].map(({ xid }) => xid),
      [...cursors.values()].map(({ id }) => id),
    ];
    const advanceAndRead = () =>
      session.query<StoredEvent>({
        name: 'outbox-advance-and-read',
        text: released.advanceAndReadSql,
        values: [owner, ...columns(), ...columns(), [], true, 1_000, 1_000_000, []],
      });
    await session.query(released.announceSql, [0x6d696c6c, 1]);
    await this.#repeat(async () => {
      const { rows: owned } = await session.query<{ shard: number; xid: string; id: string }>(released.renewShardsSql, [
        owner,
        shards,
        10_000,
        [],
      ]);
      assert.equal(owned.length, shards.length, 'the shards stay with their owner');
      for (const { shard, xid, id } of owned) if (!cursors.has(shard)) cursors.set(shard, { xid, id });
      const { rows } = await advanceAndRead();
      // each key has one writer here, so that what is below the horizon is in order
      const due = rows.filter(({ id, head }) => id !== null && head);
      const messages = due.toSorted((one, other) => Number(one.id) - Number(other.id)).map(toMessage);
      if (messages.length > 0) await this.#producer.send(this.#topic, 0, messages);
      for (const { shard, xid, id } of due) cursors.set(shard, { xid, id: id! });
      this.published += messages.length;
      this.#round.resolve();
      this.#round = Promise.withResolvers();
    });
    await advanceAndRead(); // stores the cursors
    await session.query(released.releaseShardsSql, [owner]);
  }
}

describe('a database of version 0.1.0', () => {
  const name = `t_move_${randomBytes(4).toString('hex')}`;
  const url = databaseUrl(postgres, name);
  let pool: Pool;
  let kafka: Kafka;
  let producer: Producer;

  before(async () => {
    await ensureDatabases(postgres, [name]);
    pool = createPool({ name: 'move-test', url, max: 8, log });
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'move-test', log });
    producer = await kafka.producer();
  });
  after(async () => {
    await producer.close();
    await kafka.close();
    await pool.end();
    await withClient(postgres, (client) => dropDatabaseAndRole(client, name));
  });

  it('moves under the running system, without an event that is lost or published twice', async (t) => {
    const topic = await uniqueTopic('moved', 1);
    const group = `group-${topic}`;
    await pool.query(fixture.replaceAll('released-events', topic).replaceAll('released-group', group));
    const { rows: early } = await pool.query<StoredEvent>('SELECT * FROM outbox WHERE id <= 20 ORDER BY id');
    await producer.send(topic, 0, early.map(toMessage));

    const podPool = createPool({ name: 'move-test of 0.1.0', url, max: 8, log });
    const pod = new OldPod(podPool, topic, producer);
    const total = () => pod.written.values().reduce((sum, n) => sum + n, 0);
    const goesOn = async (what: string) => {
      const [written, moves, published] = [total(), pod.moves, pod.published];
      await eventually(
        () => total() > written + 40 && pod.moves > moves + 10 && pod.published > published + 40,
        `the pod of version 0.1.0 goes on ${what}`,
        30_000,
      );
    };
    pod.start();
    t.after(async () => {
      try {
        await pod.stop();
      } finally {
        await podPool.end();
      }
    });
    await goesOn('before the migration');
    const applied = await Promise.all([1, 2].map(() => migrate([{ url, database: name }])));
    assert.deepEqual(
      applied.flatMap((databases) => databases.flatMap(({ migrations }) => migrations)),
      platformMigrations().map((migration) => migration.name),
      'one of two that migrate at once applies all',
    );
    await goesOn('after it');

    const relay = new OutboxRelay({ name, pool, kafka, log, health: new Health() });
    const inbox = new Inbox({
      group,
      topics: [topic],
      pool,
      kafka,
      log,
      health: new Health(),
      decode: createDecoder(readJson),
      handle: async (tx, events) => {
        const numbers = events.map(({ data }) => (data as { n: number }).n);
        await tx.query('INSERT INTO effects SELECT * FROM unnest($1::text[], $2::int[])', [
          events.map(({ key }) => key),
          numbers,
        ]);
      },
    });
    relay.start();
    inbox.start();
    t.after(() => Promise.all([relay.stop(), inbox.stop()]));
    await goesOn('beside one of today');
    await pod.stop();

    const effects = async () => {
      const { rows } = await pool.query<{ key: string; n: number }>('SELECT key, n FROM effects ORDER BY key, n');
      return rows;
    };
    await eventually(async () => (await effects()).length >= total(), 'all have had their effect', 90_000);
    await relay.stop();
    await inbox.stop();
    const expected = [...pod.written].flatMap(([key, last]) =>
      Array.from({ length: last }, (_, i) => ({ key, n: i + 1 })),
    );
    assert.deepEqual(await effects(), expected, 'each event has had one effect');
    const published = await readLog(kafka, topic);
    assert.equal(published.length, expected.length, 'each event is published once');
    for (const [key, messages] of Map.groupBy(published, (message) => message.key!)) {
      const numbers = messages.map(({ headers }) => Number(headers['ce_id']!.split('-')[1]));
      assert.deepEqual(
        numbers,
        Array.from({ length: pod.written.get(key)! }, (_, i) => i + 1),
        `key ${key} in order`,
      );
    }

    const { rows: offsets } = await pool.query(
      'SELECT consumer_group, next_offset::int FROM millrace.inbox_offsets ORDER BY consumer_group',
    );
    assert.deepEqual(offsets, [
      { consumer_group: group, next_offset: published.length },
      { consumer_group: 'running-group', next_offset: 100 + pod.moves },
    ]);
    const { rows: deadLetters } = await pool.query(
      'SELECT id::int, "offset"::int FROM millrace.dead_letters ORDER BY id',
    );
    assert.equal(deadLetters.length, 1 + pod.moves);
    assert.deepEqual(deadLetters[0], { id: 1, offset: 7 });
    const { rows: rebuilds } = await pool.query(
      "INSERT INTO millrace.projection_rebuilds (consumer_group, request) VALUES ('g', 'two') RETURNING version",
    );
    assert.deepEqual(rebuilds, [{ version: 3 }], 'versions go on');
  });

  it('has the same tables afterwards as a new one', async (t) => {
    const fresh = await createTestDatabase();
    t.after(() => fresh.drop());
    const own = (await shapeOf(pool)).filter((line) => !line.includes('public.effects'));
    assert.deepEqual(own, await shapeOf(fresh.pool));
  });

  it('says which of its groups have a read model', async () => {
    const { rows } = await pool.query('SELECT FROM millrace.projections');
    assert.equal(rows.length, 2);
  });
});

/** All messages of a topic with one partition. */
async function readLog(kafka: Kafka, topic: string): Promise<IncomingMessage[]> {
  const { high } = (await kafka.admin.watermarks(topic)).get(0)!;
  const messages: IncomingMessage[] = [];
  const consumer = kafka.consumer({
    group: `reader-${topic}`,
    topics: [topic],
    from: 'earliest',
    onBatch: (batch) => {
      messages.push(...batch.messages);
      return Promise.resolve(true);
    },
  });
  consumer.start();
  try {
    await eventually(() => messages.length >= Number(high), 'the whole log', 30_000);
    return messages;
  } finally {
    await consumer.stop();
  }
}
