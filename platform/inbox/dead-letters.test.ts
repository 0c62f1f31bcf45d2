import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDecoder, readJson } from '#platform/contract';
import { RecordBody } from '#platform/kafka/record/decoder.ts';
import { eventually } from '#test/eventually.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import { DeadLetterReplay } from './replay.ts';
import { inboxStand, log, message, numberOf } from './testing.ts';

describe('dead letters of an Inbox', () => {
  const stand = inboxStand();
  const { send, insert, start, effects, reach } = stand;

  it('gives up a message that fails again and again, with the reason and where it came from, and goes on', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
    const poison = message(7);
    poison.headers['traceparent'] = traceparent;
    await send([...Array.from({ length: 7 }, (_, n) => message(n)), poison, message(8), message(9)]);
    start({
      async handle(tx, events) {
        await insert(tx, events);
        if (events.some((event) => numberOf(event) === 7)) throw new RangeError('seven is too many');
      },
    });
    await reach(9);
    const { rows: dead } = await eventually(async () => {
      const found = await stand.database.pool.query('SELECT * FROM millrace.dead_letters');
      return found.rows.length > 0 && found;
    }, 'the dead letter');
    assert.deepEqual((await effects()).map((row) => row.n).toSorted(), [0, 1, 2, 3, 4, 5, 6, 8, 9]);
    assert.equal(dead.length, 1);
    const letter = dead[0]! as Record<string, unknown>;
    assert.equal(letter['reason'], 'RangeError: seven is too many');
    assert.equal(letter['attempts'], 5);
    assert.equal(String(letter['value']), '{"n":7}');
    const { rows: outbox } = await stand.database.pool.query('SELECT * FROM millrace.outbox');
    const row = outbox[0]! as { data: Buffer } & Record<string, unknown>;
    const record = new RecordBody(4);
    assert.deepEqual(
      [row['topic'], row['key'], row['event_id'], row['type'], record.keyIn(row.data), row['traceparent']],
      [`${stand.group}.dead-letters`, '7', 'event-7', 'test.happened', '7', traceparent],
    );
    const { dlq_group, dlq_topic, dlq_partition, dlq_offset, dlq_reason, dlq_attempts, ce_id, ce_time } =
      record.headersIn(row.data);
    assert.deepEqual(
      { dlq_group, dlq_topic, dlq_partition, dlq_offset, dlq_reason, dlq_attempts, ce_id, ce_time },
      {
        dlq_group: stand.group,
        dlq_topic: stand.topic,
        dlq_partition: String(letter['partition']),
        dlq_offset: String(letter['offset']),
        dlq_reason: 'RangeError: seven is too many',
        dlq_attempts: '5',
        ce_id: 'event-7',
        ce_time: poison.headers['ce_time'],
      },
    );
  });

  it('gives up what is no event at once', async () => {
    const broken = { ...message(1), value: Buffer.from('{') };
    const bare = { key: 'a\0b', value: Buffer.from('{}'), headers: {} };
    await send([broken, bare, message(0)]);
    start();
    await reach(1);
    const { rows } = await eventually(async () => {
      const found = await stand.database.pool.query<{ reason: string; attempts: number; key: string }>(
        'SELECT reason, attempts, key FROM millrace.dead_letters ORDER BY key',
      );
      return found.rows.length === 2 && found;
    }, 'two dead letters');
    assert.match(rows[0]!.reason, /not JSON/);
    assert.match(rows[1]!.reason, /required/);
    assert.deepEqual(
      rows.map((row) => [row.key, row.attempts]),
      [
        ['1', 1],
        ['a\uFFFDb', 1],
      ],
    );
  });

  it('replays nothing any more when it has stopped', () =>
    assertStopsCompletely(
      stand.kafka,
      () =>
        new DeadLetterReplay({
          group: stand.group,
          pool: stand.database.pool,
          log,
          decode: createDecoder(readJson),
          handle: insert,
          lastCommitAt: () => Number.NEGATIVE_INFINITY,
        }),
    ));

  it('replays a dead letter that is asked for through the same handler, and writes down how it went', async () => {
    let isMended = false;
    await send([message(0), message(1)]);
    start({
      async handle(tx, events) {
        await insert(tx, events);
        if (!isMended) throw new Error('not yet');
      },
    });
    const letters = async () => {
      const { rows } = await stand.database.pool.query<{ replayed_at: Date | null; replay_error: string | null }>(
        'SELECT replayed_at, replay_error FROM millrace.dead_letters ORDER BY key',
      );
      return rows;
    };
    await eventually(async () => (await letters()).length === 2, 'two dead letters', 30_000);
    await stand.database.pool.query(`UPDATE millrace.dead_letters SET replay_requested_at = now() WHERE key = '0'`);
    await eventually(async () => (await letters())[0]!.replay_error === 'Error: not yet', 'the outcome');
    assert.deepEqual(await effects(), [], 'its effects are undone');
    isMended = true;
    await stand.database.pool.query(`UPDATE millrace.dead_letters SET replay_error = NULL WHERE key = '0'`);
    await eventually(async () => (await letters())[0]!.replayed_at, 'the outcome');
    assert.deepEqual(await letters().then((rows) => [rows[0]!.replay_error, rows[1]]), [
      null,
      { replayed_at: null, replay_error: null },
    ]);
    assert.deepEqual(
      (await effects()).map((row) => row.n),
      [0],
      'the other one was not asked for',
    );
  });

  it('replays a dead letter through a handler of its own where there is one', async () => {
    await send([message(0)]);
    const replayed: number[] = [];
    start({
      handle: () => Promise.reject(new Error('not through this one')),
      replay: (_, events) => Promise.resolve(void replayed.push(...events.map(numberOf))),
    });
    const ask = 'UPDATE millrace.dead_letters SET replay_requested_at = now()';
    await eventually(async () => (await stand.database.pool.query(ask)).rowCount, 'the dead letter');
    await eventually(() => replayed.length > 0, 'its replay');
    assert.deepEqual(replayed, [0]);
  });
});
