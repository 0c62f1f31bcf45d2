import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createDecoder, defineContract, readJson } from '#platform/contract';
import type { DeadLetter, DeadLetterDetail, DeadLetterJob, PartitionOffset, ReceivedEvent } from '#platform/contract';
import { Health } from '#platform/health';
import { createHttp } from '#platform/http';
import type { HttpService } from '#platform/http';
import type { Watermarks } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { writeDeadLetters } from '../dead-letters.ts';
import { toItem } from '../item.ts';
import { hashOf } from '../key-order.ts';
import { DeadLetterReplay } from '../replay.ts';
import { log, message, numberOf } from '../testing.ts';
import { consumerPart } from './handlers.ts';

const decode = createDecoder(readJson);
const group = 'g';

describe('the operations of a consumer', () => {
  let database: TestDatabase;
  let http: HttpService;
  let url: string;
  let offset: number;
  let isKafkaAway: boolean;
  before(async () => {
    database = await createTestDatabase();
    await database.pool.query('CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, n int)');
    const knownWatermarks = (): Promise<Map<number, Watermarks>> =>
      isKafkaAway ? Promise.reject(new Error('away')) : Promise.resolve(new Map([[0, { low: 0n, high: 12n }]]));
    // an event an hour, the last one a minute ago
    const offsetsAt = (_: string, time: number) => {
      const ageMs = Date.now() - 60_000 - time;
      return Promise.resolve(new Map([[0, BigInt(Math.max(0, 12 - Math.floor((ageMs + 3_600_000) / 3_600_000)))]]));
    };
    const kafka = { admin: { knownWatermarks, offsetsAt } } as unknown as Parameters<typeof consumerPart>[0]['kafka'];
    const part = consumerPart({ group, topics: ['orders'], pool: database.pool, kafka });
    http = createHttp({ contract: defineContract('test', {}), handlers: {}, health: new Health(), log, part });
    url = `http://127.0.0.1:${await http.listen(0, '127.0.0.1')}`;
  });
  after(async () => {
    await http.close();
    await database.drop();
  });
  beforeEach(async () => {
    isKafkaAway = false;
    offset = 0;
    await database.pool.query(
      'TRUNCATE effects, millrace.dead_letters, millrace.dead_letter_jobs, millrace.blocked_keys, millrace.inbox_offsets RESTART IDENTITY',
    );
  });

  /** Adds a dead letter as the writer does. */
  async function add(
    key: string | null,
    more: { topic?: string; reason?: string; waits?: boolean; code?: string } = {},
  ) {
    const { topic = 'orders', reason = 'RangeError: no', waits = false, code } = more;
    const n = (offset += 1);
    const { value, headers } = message(n);
    const item = toItem(
      { topic, partition: 0, offset: BigInt(n), key, value, headers, timestamp: 0 },
      group,
      decode,
      false,
    );
    if (key !== null) item.keyHash = hashOf(Buffer.from(key));
    item.isWaiting = waits;
    if (!waits) item.failure = { reason, attempts: 5, code };
    const tx = (await database.pool.connect()) as PoolClient;
    await writeDeadLetters(tx, group, [item]);
    tx.release();
    return n;
  }
  const call = async <T>(method: 'GET' | 'POST', path: string, body?: unknown) => {
    const answer = await fetch(url + path, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    return { status: answer.status, headers: answer.headers, body: (await answer.json()) as T };
  };
  const list = async (query: string) =>
    (await call<DeadLetter[]>('GET', `/dead-letters?${query}`)).body.map(({ id }) => id);
  const replayAll = async (handle?: (events: ReceivedEvent[]) => void) => {
    const one = new DeadLetterReplay({
      group,
      pool: database.pool,
      log,
      lastCommitAt: () => Number.NEGATIVE_INFINITY,
      decode,
      handle: async (tx, events) => {
        handle?.(events);
        await tx.query('INSERT INTO effects (n) SELECT * FROM unnest($1::int[])', [events.map(numberOf)]);
      },
    });
    while (await one.replayNext());
  };
  const effects = async () => {
    const { rows } = await database.pool.query<{ n: number }>('SELECT n FROM effects ORDER BY id');
    return rows.map(({ n }) => n);
  };
  const jobOf = async (answer: { headers: Headers }) =>
    (await call<DeadLetterJob>('GET', answer.headers.get('location')!)).body;

  it('list dead letters, newest first, by filter and page', async () => {
    await add('a', { code: '22P02' });
    await add('a', { waits: true });
    await add('b', { topic: 'users', reason: 'no such user' });
    await add(null);
    assert.deepEqual(await list(''), [4, 3, 2, 1]);
    assert.deepEqual(await list('key=a'), [2, 1]);
    assert.deepEqual(await list('state=WAITING'), [2]);
    assert.deepEqual(await list('state=OPEN&topic=orders'), [4, 1]);
    assert.deepEqual(await list('reason=such'), [3]);
    assert.deepEqual(await list("reason='%20OR%20true%20--"), []);
    assert.deepEqual(await list('group=other'), []);
    assert.deepEqual(await list('from=2100-01-01'), []);
    assert.deepEqual(await list('to=2100-01-01'), [4, 3, 2, 1]);
    const first = await call<DeadLetter[]>('GET', '/dead-letters?limit=3&topic=orders&state=OPEN');
    assert.deepEqual(
      first.body.map(({ id }) => id),
      [4, 1],
    );
    assert.equal(first.headers.get('link'), null);
    const page = await call<DeadLetter[]>('GET', '/dead-letters?limit=3');
    const next = /<(.*)>; rel="next"/.exec(page.headers.get('link')!)![1]!;
    const last = await call<DeadLetter[]>('GET', next);
    const [letter] = last.body;
    assert.equal(last.body.length, 1);
    assert.ok(Date.now() - Date.parse(letter!.createdAt) < 60_000);
    assert.deepEqual(
      { ...letter, createdAt: '' },
      {
        id: 1,
        group,
        topic: 'orders',
        partition: 0,
        offset: 1,
        key: 'a',
        eventId: 'event-1',
        type: 'test.happened',
        reason: 'RangeError: no',
        errorCode: '22P02',
        attempts: 5,
        traceparent: null,
        createdAt: '',
        state: 'OPEN',
      },
    );
    for (const query of ['limit=1001', 'state=LOST', 'from=then', 'cursor=x', 'group='])
      assert.equal((await call('GET', `/dead-letters?${query}`)).status, 400, query);
  });

  it('give a state to the rows of before', async () => {
    await database.pool.query(
      `INSERT INTO millrace.dead_letters (consumer_group, topic, partition, "offset", key, headers, timestamp, reason, attempts,
         replay_requested_at, replayed_at, replay_error)
       VALUES ('g', 't', 0, 1, 'k', '{"ce_id":"1","ce_type":"x"}', now(), 'r', 1, NULL, NULL, NULL),
         ('g', 't', 0, 2, 'k', '{}', now(), 'r', 1, now(), NULL, NULL), ('g', 't', 0, 3, 'k', '{}', now(), 'r', 1, now(), now(), NULL),
         ('g', 't', 0, 4, 'k', '{}', now(), 'r', 1, now(), NULL, 'again')`,
    );
    const { body } = await call<DeadLetter[]>('GET', '/dead-letters');
    assert.deepEqual(
      body.map(({ state, eventId, type }) => [state, eventId, type]),
      [
        ['OPEN', null, null],
        ['REPLAYED', null, null],
        ['REPLAYING', null, null],
        ['OPEN', '1', 'x'],
      ],
    );
  });

  it('show a message as text and as bytes', async () => {
    await add('a');
    const { status, body } = await call<DeadLetterDetail>('GET', '/dead-letters/1');
    assert.equal(status, 200);
    assert.deepEqual(body.value, { text: '{"n":1}', base64: Buffer.from('{"n":1}').toString('base64') });
    assert.deepEqual(body.keyBytes, { text: 'a', base64: 'YQ==' });
    assert.ok(body.headers.some(({ name, value }) => name.text === 'ce_id' && value?.text === 'event-1'));
    await database.pool.query(`UPDATE millrace.dead_letters SET value = repeat('x', 4000000)::bytea`);
    const { body: large } = await call<DeadLetterDetail>('GET', '/dead-letters/1');
    assert.deepEqual([large.value!.text.length, large.valueBytes], [262_144, 4_000_000]);
    assert.equal((await call('GET', '/dead-letters/2')).status, 404);
    assert.equal((await call('GET', '/dead-letters/9999999999999999999')).status, 400);
  });

  it('replay one, and then those behind it', async () => {
    await add('a');
    await add('a', { waits: true });
    assert.equal((await call('POST', '/dead-letters/2/replay')).status, 409, 'it waits');
    assert.equal((await call('POST', '/dead-letters/3/replay')).status, 404);
    const answer = await call<DeadLetterJob>('POST', '/dead-letters/1/replay');
    assert.equal(answer.status, 202);
    assert.deepEqual([answer.body.action, answer.body.count, answer.body.state], ['REPLAY', 1, 'RUNNING']);
    assert.deepEqual(await list('state=REPLAYING'), [1]);
    assert.equal((await call('POST', '/dead-letters/1/replay')).status, 409);
    await replayAll();
    assert.deepEqual(await effects(), [1, 2]);
    const job = await jobOf(answer);
    assert.deepEqual([job.done, job.failed, job.remaining, job.state], [1, 0, 0, 'DONE']);
    assert.deepEqual(await list('state=REPLAYED'), [2, 1]);
  });

  it('show a replay that failed again, which can be repeated', async () => {
    await add('a');
    const answer = await call<DeadLetterJob>('POST', '/dead-letters/1/replay');
    await replayAll(() => {
      throw new RangeError('again');
    });
    assert.deepEqual([(await jobOf(answer)).failed, await list('state=OPEN')], [1, [1]]);
    const { body } = await call<DeadLetterDetail>('GET', '/dead-letters/1');
    assert.deepEqual([body.replayError, body.attempts], ['RangeError: again', 6]);
    assert.equal((await call('POST', '/dead-letters/1/replay')).status, 202);
  });

  it('discard one, and release those behind it', async () => {
    await add('a');
    await add('a', { waits: true });
    await add('a', { waits: true });
    assert.equal((await call('POST', '/dead-letters/3/discard')).status, 202);
    await replayAll();
    assert.deepEqual(await effects(), [], 'the key is still blocked');
    assert.equal((await call<DeadLetterJob>('POST', '/dead-letters/1/discard')).body.state, 'DONE');
    await replayAll();
    assert.deepEqual([await effects(), await list('state=DISCARDED')], [[2], [3, 1]]);
    assert.equal((await database.pool.query('SELECT FROM millrace.blocked_keys')).rowCount, 0);
  });

  it('replay and discard by filter, if the count is the expected one', async () => {
    for (const key of ['a', 'b', 'c']) await add(key, { reason: 'no such user' });
    await add('d');
    await add('d', { waits: true });
    const filter = { group, reason: 'such' };
    const other = await call<{ detail: string }>('POST', '/dead-letters/replay', { ...filter, expected: 2 });
    assert.deepEqual(
      [other.status, other.headers.get('content-type')],
      [409, 'application/problem+json; charset=utf-8'],
    );
    assert.match(other.body.detail, /selects 3 dead letters in the state OPEN, not 2/);
    assert.deepEqual(await list('state=REPLAYING'), []);
    const answer = await call<DeadLetterJob>('POST', '/dead-letters/replay', { ...filter, expected: 3 });
    assert.deepEqual([answer.status, answer.body.count], [202, 3]);
    await replayAll();
    assert.deepEqual(await effects(), [1, 2, 3]);
    assert.equal((await jobOf(answer)).done, 3);
    // the filter in the query, as for the list
    assert.equal((await call('POST', '/dead-letters/discard?key=d', { expected: 1 })).status, 202);
    await replayAll();
    assert.deepEqual([await effects(), await list('state=DISCARDED')], [[1, 2, 3, 5], [4]]);
    for (const body of [{}, { expected: -1 }, { expected: 0, stat: 'OPEN' }, { expected: 0, state: 'REPLAYED' }])
      assert.equal((await call('POST', '/dead-letters/replay', body)).status, 400, JSON.stringify(body));
  });

  it('list the offsets, also while Kafka is away', async () => {
    await database.pool.query(
      `INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset, topic_id)
       VALUES ('g', 'orders', 0, 5, 'abc'), ('other', 'orders', 0, 1, NULL)`,
    );
    const expected: PartitionOffset = {
      group,
      topic: 'orders',
      topicId: 'abc',
      partition: 0,
      storedOffset: 5,
      endOffset: 12,
      lag: 7,
      oldestUnreadSeconds: null,
    };
    const [{ oldestUnreadSeconds, ...found }] = (await call<[PartitionOffset]>('GET', '/offsets')).body;
    assert.deepEqual({ ...found, oldestUnreadSeconds: null }, expected);
    const age = 6 * 3_600 + 60;
    assert.ok(oldestUnreadSeconds! > 0.85 * age && oldestUnreadSeconds! < 1.15 * age, String(oldestUnreadSeconds));
    await database.pool.query('UPDATE millrace.inbox_offsets SET next_offset = 12');
    assert.equal((await call<[PartitionOffset]>('GET', '/offsets')).body[0].oldestUnreadSeconds, null, 'all is read');
    await database.pool.query('UPDATE millrace.inbox_offsets SET next_offset = 5');
    isKafkaAway = true;
    assert.deepEqual((await call('GET', '/offsets')).body, [{ ...expected, endOffset: null, lag: null }]);
  });

  it('answer 405 to other methods', async () => {
    assert.equal((await call('POST', '/dead-letters')).status, 405);
    assert.equal((await call('GET', '/dead-letters/1/replay')).status, 405);
  });
});
