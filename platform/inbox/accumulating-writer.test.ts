import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { ReceivedEvent } from '#platform/contract';
import { eventually } from '#test/eventually.ts';
import { createPool, Unavailable } from '#platform/postgres';
import type { Accumulator } from './accumulation.ts';
import { AccumulatingWriter } from './accumulating-writer.ts';
import type { Inbox } from './inbox.ts';
import type { Item } from './item.ts';
import { accumulatorOf, inboxStand, itemAt, log, message, numberOf } from './testing.ts';
import type { Handle } from './writer.ts';

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('an inbox that collects effects', () => {
  const stand = inboxStand();
  const { insert, effects, reach } = stand;

  /** Writes what it has collected unless `failureOf` returns an error. */
  const failing = (failureOf: (events: readonly ReceivedEvent[]) => Error | undefined): Accumulator =>
    accumulatorOf(async (tx, events) => {
      await insert(tx, events);
      const error = failureOf(events);
      if (error) throw error;
    });

  type WriterOptions = ConstructorParameters<typeof AccumulatingWriter>[0];
  /** A writer by itself, which puts each batch into a transaction of its own. @param fallback writes what has failed */
  const writerOf = ({
    fallback,
    ...options
  }: Pick<WriterOptions, 'deadLetterWriter' | 'onDiscarded'> & { fallback: WriterOptions['fallback']['write'] }) =>
    new AccumulatingWriter({
      group: stand.group,
      pool: stand.database.pool,
      log,
      accumulator: accumulatorOf(insert),
      lingerMs: 0,
      fallback: { write: fallback, idle: () => Promise.resolve(), check: () => undefined },
      onCommitted: () => undefined,
      onRefused: assert.fail,
      ...options,
    });

  const send = (numbers: readonly number[]) => stand.send(numbers.map((n) => message(n)));
  const start = (accumulator: Accumulator, handle = insert): Inbox =>
    stand.start({ accumulator, handle, maxBatch: 7 }).inbox;

  async function assertOnceInOrder(expected: readonly number[]): Promise<void> {
    const rows = await effects();
    assert.deepEqual(
      rows.map(({ n }) => n).toSorted((a, b) => a - b),
      expected,
    );
    const places = rows.map(({ place }) => place.split('/').map(Number) as [number, number]);
    for (const own of Map.groupBy(places, ([partition]) => partition).values()) {
      const offsets = own.map(([, offset]) => offset);
      assert.deepEqual(
        offsets,
        offsets.toSorted((a, b) => a - b),
      );
    }
  }

  it('moves the offsets only with the collected effects', async () => {
    let failures = 0;
    let isAway = true;
    await send(range(0, 40));
    start(
      failing(() => {
        if (!isAway) return undefined;
        failures += 1;
        return new Unavailable('the database is away');
      }),
    );
    await eventually(() => failures > 0, 'a failure');
    assert.equal(await stand.storedOffsets(), 0);
    isAway = false;
    await reach(40);
    await assertOnceInOrder(range(0, 40));
  });

  it('applies each event once and in order, however often a transaction is lost', async () => {
    let writes = 0;
    const error = (code: string) => Object.assign(new Error('injected'), { code });
    start(
      failing(() => {
        writes += 1;
        if (writes % 3 === 0) return error('22000'); // bad data: all of it is read again
        return writes % 4 === 1 ? error('08006') : undefined; // passes: the same is written again
      }),
    );
    for (let n = 100; n <= 1_500; n += 100) {
      await send(range(n - 100, n));
      await reach(n);
    }
    await assertOnceInOrder(range(0, 1_500));
    assert.ok(writes > 15, `${writes} attempts`);
  });

  it('finds the message that a transaction cannot be written with, and gives up that one alone', async () => {
    const refuse = (events: readonly ReceivedEvent[]) =>
      events.some((event) => numberOf(event) === 250) ? new Error('no 250') : undefined;
    await send(range(0, 600));
    start(failing(refuse), async (tx, events) => {
      await insert(tx, events);
      const error = refuse(events);
      if (error) throw error;
    });
    await reach(599);
    await assertOnceInOrder(range(0, 600).filter((n) => n !== 250));
    const { rows } = await stand.database.pool.query('SELECT key, reason, attempts FROM millrace.dead_letters');
    assert.deepEqual(rows, [{ key: '250', reason: 'Error: no 250', attempts: 5 }]);
  });

  it('holds no more than some fetches of what it keeps, while a transaction takes long', async () => {
    const { group, topic, database } = stand;
    await database.pool.query(
      'INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset) VALUES ($1, $2, 0, 0)',
      [group, topic],
    );
    const inside = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const writer = writerOf({
      fallback: () => assert.fail(),
      deadLetterWriter() {
        inside.resolve();
        return go.promise;
      },
      onDiscarded: assert.fail,
    });
    const { signal } = new AbortController();
    const write = (offset: bigint) => {
      const value = Buffer.alloc(4 * 1024 * 1024).subarray(0, 10); // the rest of its fetch stays with it
      const at = { topic, partition: 0 };
      const item: Item = {
        message: { ...at, offset, key: null, value, headers: {}, timestamp: 0 },
        event: undefined,
        failure: { reason: 'no event', attempts: 1 },
        span: undefined,
      };
      return writer.write({ ...at, expected: offset, next: offset + 1n, items: [item] }, signal, 0);
    };
    await write(0n);
    await inside.promise;
    let accepted = 0;
    const rest = (async () => {
      for (let offset = 1n; offset <= 10n; offset += 1n) if (await write(offset)) accepted += 1;
    })();
    for (let turn = 0; turn < 100; turn++) await setImmediate();
    const early = accepted;
    go.resolve();
    await rest;
    await writer.idle();
    assert.equal(early, 4, 'batches of 4 MiB within 16');
    assert.equal(accepted, 10);
    assert.equal(await stand.storedOffsets(), 11);
  });

  it('writes one by one what has failed, and not what is at the same offsets of a topic that was created again', async () => {
    const { group, topic, database } = stand;
    const oneByOne: bigint[] = [];
    const writer = writerOf({
      fallback: ({ expected }) => Promise.resolve(oneByOne.push(expected) > 0),
      deadLetterWriter: () => Promise.reject(new Error('refused')),
      onDiscarded: () => undefined,
    });
    const { signal } = new AbortController();
    const at = { topic, partition: 0 };
    const write = async (offset: bigint, topicId: string, failure?: Item['failure']) => {
      const place = { ...at, offset };
      await database.pool.query(
        `INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset, topic_id) VALUES ($1, $2, 0, $3, $4)
         ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET next_offset = $3, topic_id = $4`,
        [group, topic, offset, topicId],
      );
      const items = [{ ...itemAt(place, group, Number(offset)), failure }];
      assert.equal(await writer.write({ ...at, expected: offset, next: offset + 1n, topicId, items }, signal, 0), true);
      await writer.idle();
    };
    await write(5n, 'the earlier topic', { reason: 'no event', attempts: 1 });
    await write(5n, 'the earlier topic');
    assert.deepEqual(oneByOne, [5n]);
    await write(5n, 'the present topic');
    await write(0n, 'the earlier topic');
    assert.deepEqual(oneByOne, [5n]);
    const places = await effects();
    assert.deepEqual(
      places.map(({ place }) => place),
      ['0/5', '0/0'],
    );
  });

  it('goes on with the other partitions while another session holds the offset of one, and says so', async (t) => {
    const pool = createPool({ name: 'held-test', url: stand.database.url, max: 4, log, statementMs: 500 });
    t.after(async () => {
      await Promise.all(stand.inboxes.map((inbox) => inbox.stop()));
      await pool.end();
    });
    let isOneByOne = false;
    const handle: Handle = (tx, events) => {
      isOneByOne = true;
      return insert(tx, events);
    };
    const { health } = stand.start({ pool, handle, accumulator: accumulatorOf(insert), maxBatch: 7 });
    await send(range(0, 40));
    await reach(40);
    const other = await stand.database.pool.connect();
    try {
      await other.query('SET idle_in_transaction_session_timeout = 0; BEGIN');
      await other.query('SELECT FROM millrace.inbox_offsets WHERE consumer_group = $1 AND partition = 0 FOR UPDATE', [
        stand.group,
      ]);
      await send(range(40, 200));
      const reason = async () => (await health.report()).checks[`inbox ${stand.group}`]!.reason ?? '';
      const waiting = `${stand.topic}/0 waits: another session of PostgreSQL holds its offset`;
      await eventually(async () => (await reason()) === waiting, 'health says so', 10_000);
      await eventually(async () => {
        const { rows } = await stand.database.pool.query<{ partition: number; next: string }>(
          'SELECT partition, next_offset AS next FROM millrace.inbox_offsets WHERE partition <> 0',
        );
        const marks = await stand.kafka.admin.watermarks(stand.topic);
        return rows.every(({ partition, next }) => BigInt(next) === marks.get(partition)!.high);
      }, 'the others go on');
      assert.ok(!isOneByOne, 'all have waited for one statement, and not for a second one');
    } finally {
      other.release(true); // its session ends, and with it the transaction
    }
    await reach(200);
    await assertOnceInOrder(range(0, 200));
    await eventually(() => stand.isReady(health), 'it is well again');
  });

  it('is as exact while members come and go', async () => {
    const accumulator = () => accumulatorOf(insert);
    const first = start(accumulator());
    await send(range(0, 1_000));
    start(accumulator());
    await send(range(1_000, 2_000));
    await first.stop();
    await send(range(2_000, 3_000));
    await reach(3_000);
    await assertOnceInOrder(range(0, 3_000));
  });
});
