import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeHeaders } from '#platform/contract';
import { Health } from '#platform/health';
import { PartitionRecords, RecordWriter } from '#platform/kafka';
import type { IncomingMessage, RawRecord } from '#platform/kafka';
import { OutboxRelay } from '#platform/outbox';
import { eventually } from '#test/eventually.ts';
import kafkajs from 'kafkajs';
import { deadLetterColumns, messageOf } from './dead-letter-row.ts';
import type { DeadLetterRow } from './dead-letter-row.ts';
import { metrics } from './metrics.ts';
import { inboxStand, log, message } from './testing.ts';
import { administer } from '#platform/kafka/testing/administer.ts';

type Header = readonly [name: string | Buffer, value: string | Buffer | null];

interface Record {
  key: string | Buffer | null;
  value: string | Buffer | null;
  headers: readonly Header[];
}

/** A record as another producer writes it, encoded for a send. */
function encoded({ key, value, headers }: Record, timestamp = Date.now()) {
  const body = new RecordWriter();
  body.field(key);
  body.field(value);
  body.varint(headers.length);
  for (const header of headers) for (const part of header) body.field(part);
  const records = new PartitionRecords(body.length);
  records.add(body.bytes, 0, body.length);
  return { count: records.count, bytes: records.bytes, timestamp };
}

const eventHeaders = (changes: { [name: string]: string } = {}): Header[] =>
  Object.entries({
    ...encodeHeaders({ id: 'event-1', type: 'test.happened', source: '/test', subject: '1', time: new Date(0) }),
    ...changes,
  });

const hex = (bytes: Buffer | null) => bytes && bytes.toString('hex');
const bytesOf = (part: string | Buffer | null) => (typeof part === 'string' ? Buffer.from(part) : part);
const plain = ({ key, value, headers }: Pick<RawRecord, 'key' | 'value' | 'headers'>) => ({
  key: hex(key),
  value: hex(value),
  headers: headers.map(([name, text]) => [hex(name), hex(text)]),
});
const plainRecord = ({ key, value, headers }: Record) =>
  plain({
    key: bytesOf(key),
    value: bytesOf(value),
    headers: headers.map(([name, text]) => [bytesOf(name)!, bytesOf(text)] as const),
  });

describe('records that others write', () => {
  const stand = inboxStand();
  const { send, start, reach, effects, insert } = stand;

  /** Sends a record, then an event to the same partition. */
  async function sendWithNext(record: Record, timestamp?: number): Promise<void> {
    const next = message(1);
    const producer = await stand.kafka.producer();
    const partition = await producer.partitionFor(stand.topic, next.key);
    await producer.send(stand.topic, partition, encoded(record, timestamp));
    await send([next]);
    await producer.close();
  }
  const letters = async () => {
    const { rows } = await stand.database.pool.query<DeadLetterRow & { reason: string; attempts: number }>(
      `SELECT ${deadLetterColumns}, reason, attempts FROM millrace.dead_letters ORDER BY id`,
    );
    return rows;
  };
  const onlyLetter = async () => {
    const [first, ...more] = await letters();
    assert.ok(first, 'a dead letter');
    assert.equal(more.length, 0, 'one dead letter a group');
    return first;
  };

  for (const [what, headers] of [
    ['ce_id', { ce_id: 'a\0b' }],
    ['ce_source', { ce_source: '/a\0b' }],
    ['ce_type', { ce_type: 'a\0b' }],
    ['traceparent', { traceparent: '00-\0', ce_source: '' }],
    ['another header', { 'x-y\0': 'a\0b', ce_source: '' }],
  ] as [string, { [name: string]: string }][]) {
    it(`keeps an event with U+0000 in ${what} as a dead letter, and goes on`, async () => {
      await sendWithNext({ key: 'a\0b', value: '{"n":0}', headers: eventHeaders(headers) });
      start();
      await reach(1);
      assert.deepEqual(
        (await effects()).map(({ n }) => n),
        [1],
      );
      assert.equal((await onlyLetter()).attempts, 1);
    });
  }

  it('ignores a traceparent that is none', async () => {
    await sendWithNext({ key: '0', value: '{"n":0}', headers: eventHeaders({ traceparent: '00-\0' }) });
    const seen: unknown[] = [];
    start({
      handle: (tx, events) => {
        seen.push(...events.map(({ traceparent }) => traceparent));
        return insert(tx, events);
      },
    });
    await reach(2);
    assert.deepEqual(seen, [undefined, undefined]);
    assert.equal((await letters()).length, 0);
  });

  it('keeps a record with a time beyond that of the database', async () => {
    await administer((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: kafkajs.ConfigResourceTypes.TOPIC,
            name: stand.topic,
            configEntries: [{ name: 'message.timestamp.after.max.ms', value: '9223372036854775807' }],
          },
        ],
      }),
    );
    await eventually(
      () =>
        sendWithNext({ key: 'k', value: 'x', headers: [] }, 1_800_000_000_000_000_000).then(
          () => true,
          () => false,
        ),
      'the broker takes the time',
    );
    start();
    await reach(1);
    const letter = await onlyLetter();
    assert.deepEqual(
      [letter.timestamp_ms, letter.timestamp.toISOString(), messageOf(letter).timestamp],
      ['1800000000000000000', '9999-12-31T23:59:59.999Z', 1_800_000_000_000_000_000],
    );
  });

  it('keeps 4 MB that are no JSON', async () => {
    const value = Buffer.alloc(4_194_000, 0xc1);
    await sendWithNext({ key: 'k', value, headers: [] });
    start();
    await reach(1);
    assert.ok((await onlyLetter()).value!.equals(value));
    const { rows } = await stand.database.pool.query<{ data: Buffer }>('SELECT data FROM millrace.outbox');
    assert.equal(rows.length, 1);
    assert.ok(rows[0]!.data.includes(value), 'it is on its way to the topic of dead letters');

    const topic = `${stand.group}.dead-letters`;
    await stand.kafka.admin.ensureTopics([{ name: topic, partitions: 1, retentionMs: -1 }]);
    const { pool } = stand.database;
    const relay = new OutboxRelay({ name: 'test', pool, kafka: stand.kafka, log, health: new Health() });
    relay.start();
    try {
      const published = (count: bigint) =>
        eventually(
          async () => (await stand.kafka.admin.watermarks(topic)).get(0)!.high === count,
          `${count} in the topic of dead letters`,
          30_000,
        );
      await published(1n);
      await sendWithNext({ key: 'another', value: 'x', headers: [] });
      await published(2n);
    } finally {
      await relay.stop();
    }
  });

  const odd: [string, Record][] = [
    ['no key', { key: null, value: '{"n":0}', headers: [] }],
    ['an empty key and value', { key: '', value: '', headers: [] }],
    [
      'a binary key, and headers that repeat, have no value, or are no UTF-8',
      {
        key: Buffer.from([0xff, 0x00, 0xfe]),
        value: Buffer.from([0xc3, 0x28]),
        headers: [
          ['twice', 'a'],
          ['none', null],
          ['twice', 'b'],
          [Buffer.from([0xff]), Buffer.from([0x00, 0xff])],
          ['', ''],
          ['content-type', 'text/plain'],
          ['traceparent', '00-\0'],
        ],
      },
    ],
  ];
  for (const [what, record] of odd) {
    it(`keeps a record with ${what} byte for byte, in the table, in the topic and in its replay`, async () => {
      const topic = `${stand.group}.dead-letters`;
      await stand.kafka.admin.ensureTopics([{ name: topic, partitions: 1, retentionMs: -1 }]);
      await sendWithNext(record);
      const replayed: IncomingMessage[] = [];
      const { pool } = stand.database;
      const relay = new OutboxRelay({ name: 'test', pool, kafka: stand.kafka, log, health: new Health() });
      relay.start();
      const published: { raw: RawRecord }[] = [];
      const reader = stand.kafka.consumer({
        group: `reader-${topic}`,
        topics: [topic],
        from: 'earliest',
        onBatch: (batch) => {
          published.push(...batch.messages.map((one) => ({ raw: one.raw!() })));
          return Promise.resolve(true);
        },
      });
      reader.start();
      try {
        start({
          decode: (one) => {
            if (hex(one.raw!().key) === hex(Buffer.from('1'))) {
              return {
                id: '1',
                type: 'test.happened',
                source: '/test',
                subject: '',
                time: 0,
                data: { n: 1 },
                topic: one.topic,
                partition: one.partition,
                offset: one.offset,
                key: one.key,
                traceparent: undefined,
              };
            }
            replayed.push(one);
            throw new Error('no event');
          },
        });
        await reach(1);
        assert.deepEqual(plain(messageOf(await onlyLetter()).raw!()), plainRecord(record), 'the row');

        await pool.query('UPDATE millrace.dead_letters SET replay_requested_at = now()');
        await eventually(() => replayed.length >= 2, 'the replay');
        assert.deepEqual(plain(replayed.at(-1)!.raw!()), plainRecord(record), 'the replay');
        assert.deepEqual(
          [replayed.at(-1)!.key, replayed.at(-1)!.headers],
          [replayed[0]!.key, replayed[0]!.headers],
          'the replay, decoded',
        );

        await eventually(() => published.length === 1, 'the record in the topic');
        const { headers, ...rest } = published[0]!.raw;
        const own = headers.filter(([name]) => !name.toString().startsWith('dlq_'));
        assert.deepEqual(plain({ ...rest, headers: own }), plainRecord(record), 'the topic');
        const added = Object.fromEntries(headers.slice(own.length).map(([name, text]) => [String(name), String(text)]));
        assert.deepEqual([added['dlq_topic'], added['dlq_reason']], [stand.topic, 'Error: no event']);
      } finally {
        await Promise.all([relay.stop(), reader.stop()]);
      }
    });
  }

  it('skips a record without a value, with or without the headers of an event', async () => {
    const skipped = () =>
      metrics.tombstones.get().then(({ values }) => values.find(({ labels }) => labels.topic === stand.topic));
    await sendWithNext({ key: '1', value: null, headers: [] });
    await sendWithNext({ key: '1', value: null, headers: eventHeaders() });
    start();
    await reach(2);
    assert.equal((await letters()).length, 0);
    assert.equal((await skipped())?.value, 2);
  });

  it('takes an event in structured mode, and one without a time', async () => {
    const envelope = { specversion: '1.0', id: '1', type: 'test.happened', source: '/test', data: { n: 5 } };
    await sendWithNext({
      key: '1',
      value: JSON.stringify(envelope),
      headers: [['content-type', 'application/cloudevents+json']],
    });
    await sendWithNext({ key: '1', value: '{"n":6}', headers: eventHeaders().filter(([name]) => name !== 'ce_time') });
    start();
    await reach(4);
    assert.deepEqual(
      (await effects()).map(({ n }) => n),
      [5, 1, 6, 1],
    );
  });

  it('keeps a dead letter that the table refuses by reference', async () => {
    await stand.database.pool.query('ALTER TABLE millrace.dead_letters ADD CHECK (octet_length(value) < 3)');
    await sendWithNext({ key: 'k', value: 'long', headers: [] });
    start();
    await reach(1);
    const { key, value, offset, is_reference, reason } = await onlyLetter();
    assert.deepEqual({ key, value, offset, is_reference }, { key: null, value: null, offset: '0', is_reference: true });
    assert.match(reason, /required/);
    await stand.database.pool.query('UPDATE millrace.dead_letters SET replay_requested_at = now()');
    await eventually(async () => {
      const { rows } = await stand.database.pool.query<{ replay_error: string | null }>(
        'SELECT replay_error FROM millrace.dead_letters',
      );
      return /reference/.test(rows[0]?.replay_error ?? '');
    }, 'the replay says why it cannot');
  });

  it('lets the partition wait alone whose dead letter cannot be written at all', async () => {
    await stand.database.pool.query('ALTER TABLE millrace.dead_letters ADD CONSTRAINT none CHECK (topic IS NULL)');
    await sendWithNext({ key: 'k', value: 'x', headers: [] });
    const { health } = start();
    await eventually(
      async () => JSON.stringify(await health.report()).includes('cannot be written'),
      'health names the partition',
    );
    for (let n = 2; n < 30; n += 1) await send([message(n)]);
    await eventually(async () => (await effects()).length >= 10, 'the other partitions go on', 30_000);
    assert.ok(!(await effects()).some(({ n }) => n === 1), 'nothing overtakes the record');
    await stand.database.pool.query('ALTER TABLE millrace.dead_letters DROP CONSTRAINT none');
    await reach(29);
    assert.equal((await onlyLetter()).is_reference, false);
    await eventually(() => stand.isReady(health), 'it is ready again');
  });
});
