import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { Health } from '#platform/health';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { transaction } from '#platform/postgres';
import type { PoolClient } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { OutboxRelay } from './relay.ts';
import { PublishedIds, settleServer } from './server.ts';
import { appendToOutbox } from './write.ts';

const event = (key: string, n: number) => ({
  topic: 'orders',
  key,
  eventId: `order-${key}-${n}`,
  type: 'order.created',
  source: '/orders',
  data: JSON.stringify({ n }),
});

/** the transactions of other tests on the server hold back its oldest one */
const untilOthersEndMs = 60_000;

describe('an outbox on another PostgreSQL server', () => {
  let database: TestDatabase;
  let relays: OutboxRelay[];
  let warnings: string[];
  const log = createLogger('server-test', 'silent');
  beforeEach(async () => {
    database = await createTestDatabase('orders');
    relays = [];
    warnings = [];
    log.warn = (...args: unknown[]) => void warnings.push(String(args.at(-1)));
  });
  afterEach(async () => {
    await Promise.all(relays.map((relay) => relay.stop()));
    await database.drop();
  });

  const start = (kafka: ReturnType<typeof fakeKafka>['kafka'], source?: string) => {
    const options = { name: 'test', pool: database.pool, kafka, log, health: new Health() };
    const relay = new OutboxRelay({ ...options, ...(source !== undefined && { source }) });
    relays.push(relay);
    relay.start();
    return relay;
  };
  const append = (...events: Parameters<typeof appendToOutbox>[1]) =>
    transaction(database.pool, (tx) => appendToOutbox(tx, events));
  const place = (orderId: number, version = 1) =>
    database.pool.query(
      `INSERT INTO order_events (order_id, version, type, data) VALUES ($1, $2, 'order.created', '{}')`,
      [orderId, version],
    );
  const goAhead = () =>
    database.pool.query(`UPDATE millrace.outbox_shards SET id = 0,
      xid = (pg_snapshot_xmax(pg_current_snapshot())::text::numeric + 500)::text::xid8`);
  const idsOf = (sent: ReturnType<typeof fakeKafka>['sent']) => sent.map(({ message }) => message.headers['ce_id']);
  const lastIds = async () => {
    const { rows } = await database.pool.query<{ last: string }>(
      'SELECT last_id::text AS last FROM millrace.outbox_shards ORDER BY shard',
    );
    return rows.map(({ last }) => Number(last));
  };

  it('publishes 5 orders though the cursors are 500 transactions ahead, and says so once', async () => {
    const { kafka, sent } = fakeKafka({ 'order-events': 6 });
    await goAhead();
    for (let order = 1; order <= 5; order++) await place(order);
    start(kafka, 'outbox');
    await eventually(() => sent.length === 5, 'the orders');
    await place(6);
    await eventually(() => sent.length === 6, 'a later order');
    assert.deepEqual(new Set(idsOf(sent)), new Set([1, 2, 3, 4, 5, 6].map((order) => `order-${order}-1`)));
    assert.equal(warnings.length, 1, String(warnings));
  });

  it('goes on where the cursors get ahead while it runs', async () => {
    const { kafka, sent } = fakeKafka({ orders: 6 });
    start(kafka);
    await append(event('1', 1));
    await eventually(() => sent.length === 1, 'the first');
    await goAhead();
    await append(event('1', 2), event('2', 1));
    await eventually(() => new Set(idsOf(sent)).size === 3, 'all');
    await eventually(() => warnings.length === 1, 'the warning');
  });

  it('sends nothing again that is surely published', async () => {
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const first = start(kafka);
    const keys = Array.from({ length: 12 }, (_, key) => String(key));
    await append(...keys.map((key) => event(key, 1)));
    await eventually(() => sent.length === keys.length, 'all');
    const haveFollowed = async () => (await lastIds()).every((id) => id > 0);
    await eventually(haveFollowed, 'the last ids have followed', untilOthersEndMs);
    await first.stop();
    await database.pool.query(`UPDATE millrace.outbox_shards SET server = 'another'`);
    await append(...keys.map((key) => event(key, 2)));
    start(kafka);
    await eventually(() => sent.length >= 2 * keys.length, 'the later ones');
    await append(event('0', 3));
    await eventually(() => idsOf(sent).at(-1) === 'order-0-3', 'the last');
    assert.equal(sent.length, 2 * keys.length + 1, 'nothing twice');
  });

  it('publishes what may be unpublished in the order of the ids, whatever transaction ids the rows bring', async () => {
    const { rows: now } = await database.pool.query<{ xmax: string }>(
      'SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xmax',
    );
    const restored = fc.record({
      key: fc.nat({ max: 5 }),
      // of a server with fewer transactions, with more, and with as many
      xid: fc.oneof(
        fc.integer({ min: 3, max: 50 }),
        fc.integer({ min: 0, max: 1e9 }).map((n) => n + Number(now[0]!.xmax)),
      ),
    });
    const cursor = fc.tuple(fc.nat({ max: 2e9 }), fc.nat({ max: 100 }));
    for (const source of ['millrace.outbox', 'outbox']) {
      await fc.assert(
        fc.asyncProperty(
          fc.array(restored, { maxLength: 30 }),
          fc.nat({ max: 30 }),
          cursor,
          async (rows, published, [xid, id]) => {
            const { kafka, sent } = fakeKafka({ orders: 3, 'order-events': 3 });
            await database.pool.query(
              'TRUNCATE millrace.outbox RESTART IDENTITY; TRUNCATE order_events RESTART IDENTITY',
            );
            await database.pool.query(
              `UPDATE millrace.outbox_shards SET xid = $1::xid8, id = $2, server = 'old', owner = NULL, last_id = $3`,
              [xid, id, published],
            );
            for (const [i, row] of rows.entries()) {
              const values = [i + 1, row.xid, row.key].map(String);
              await database.pool.query(
                source === 'outbox'
                  ? `INSERT INTO order_events (id, xid, order_id, version, type, data)
                     OVERRIDING SYSTEM VALUE VALUES ($1::bigint, $2::xid8, $3, $1::int, 't', '{}')`
                  : `INSERT INTO millrace.outbox (id, xid, key, topic, event_id, type, source, data)
                     OVERRIDING SYSTEM VALUE VALUES ($1::bigint, $2::xid8, $3::text, 'orders', $1::bigint::text, 't', '/s', '{}')`,
                values,
              );
            }
            // what services write on the new server before the relay starts, and while it numbers
            await database.pool.query(`SELECT setval(pg_get_serial_sequence('millrace.outbox', 'id'), 100);
              SELECT setval(pg_get_serial_sequence('order_events', 'id'), 100)`);
            const write = (key: number, n: number) =>
              source === 'outbox' ? place(key, n) : append({ ...event(String(key), n), eventId: String(n) });
            await write(1, 101);
            const relay = start(kafka, source === 'outbox' ? source : undefined);
            await write(1, 102);
            const numberOf = (text: string) => Number(/\d+$/.exec(text)![0]);
            await eventually(() => idsOf(sent).some((text) => numberOf(text!) === 102), 'the last');
            await relay.stop();
            const expected = [...rows.keys()].map((i) => i + 1).filter((n) => n > published);
            assert.deepEqual(new Set(idsOf(sent).map((text) => numberOf(text!))), new Set([...expected, 101, 102]));
            for (const own of Map.groupBy(sent, ({ message }) => message.key).values()) {
              const numbers = [...new Set(idsOf(own).map((text) => numberOf(text!)))];
              assert.deepEqual(
                numbers,
                numbers.toSorted((a, b) => a - b),
              );
            }
          },
        ),
        { numRuns: 25, endOnFailure: true },
      );
    }
  });

  it('waits for rows that another session has locked, longer than a relay waits otherwise', async () => {
    await append(event('1', 1), event('2', 1));
    await database.pool.query(`UPDATE millrace.outbox_shards SET server = 'another'`);
    const [session, other] = [await database.pool.connect(), await database.pool.connect()];
    try {
      await session.query(`SET lock_timeout = '50ms'`);
      await other.query('BEGIN; SELECT FROM millrace.outbox LIMIT 1 FOR UPDATE');
      const settling = settleServer(session, { source: 'millrace.outbox', database: 'd', log });
      const waits = async () => {
        const { rowCount } = await database.pool.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
             AND query_start < clock_timestamp() - interval '200 ms'`,
        );
        return rowCount === 1;
      };
      await Promise.race([settling, eventually(waits, 'it waits for the row')]);
      await other.query('ROLLBACK');
      assert.equal(await settling, true);
      const { rows } = await session.query<{ lock_timeout: string }>('SHOW lock_timeout');
      assert.equal(rows[0]!.lock_timeout, '5s');
    } finally {
      for (const client of [session, other]) client.release(true);
    }
  });

  it('is refused with a sentence where the view of an event store cannot be updated', async () => {
    await database.pool.query(`CREATE VIEW fixed AS SELECT n::bigint AS id, '7'::xid8 AS xid, 0::smallint AS shard
      FROM generate_series(1, 3) AS n`);
    await database.pool.query(`UPDATE millrace.outbox_shards SET server = 'another'`);
    const session = await database.pool.connect();
    try {
      await assert.rejects(settleServer(session, { source: 'fixed', database: 'd', log }), {
        code: 'ERR_OUTBOX_CURSOR_AHEAD',
      });
    } finally {
      session.release();
    }
  });

  describe('the last published ids', () => {
    const owner = 'me';
    const round = async (session: PoolClient, ids: PublishedIds) => {
      for (let i = 0; i < 4; i++) await ids.follow(session, owner);
    };
    /** The cursors have passed all transactions that have ended. */
    const publishAll = () =>
      database.pool.query(
        `UPDATE millrace.outbox_shards SET owner = $1, xid = pg_snapshot_xmin(pg_current_snapshot()), id = 0`,
        [owner],
      );

    it('follow the cursors, but not past a row that is not committed or not published', async () => {
      const ids = new PublishedIds('millrace.outbox');
      const session = await database.pool.connect();
      const open = await database.pool.connect();
      try {
        await open.query('BEGIN');
        await appendToOutbox(open, [event('1', 1)]);
        await append(event('1', 2));
        await publishAll();
        await round(session, ids);
        assert.equal(Math.max(...(await lastIds())), 0, 'the first row is not committed');
        await open.query('COMMIT');
        await round(session, ids);
        assert.equal(Math.max(...(await lastIds())), 0, 'the first row is not published');
        await eventually(
          async () => {
            await publishAll();
            await round(session, ids);
            return Math.max(...(await lastIds())) === 2;
          },
          'both are published',
          untilOthersEndMs,
        );
      } finally {
        for (const client of [session, open]) client.release(true);
      }
    });
  });
});
