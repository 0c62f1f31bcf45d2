import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Health } from '#platform/health';
import { createPool } from '#platform/postgres';
import { eventually } from '#test/eventually.ts';
import type { InboxOptions } from './inbox.ts';
import { hashOf } from './key-order.ts';
import { accumulatorOf, inboxStand, log } from './testing.ts';
import type { Handle } from './writer.ts';

const withinMs = 20_000;
const key = '7';

describe('an Inbox whose database refuses the effects of one key', () => {
  const stand = inboxStand();
  const { sendRange, reach, assertOnceInOrder, isReady, effects } = stand;
  const insertOf =
    (member: string): Handle =>
    (tx, events) =>
      stand.insert(tx, events, member);
  const reasonOf = async (health: Health) => (await health.report()).checks[`inbox ${stand.group}`]!.reason ?? '';

  /** @returns the partition that waits, once health says so */
  async function waiting(health: Health, reason: RegExp): Promise<number> {
    let partition = -1;
    await eventually(
      async () => {
        const [place, why] = (await reasonOf(health)).split(' waits: ');
        partition = Number(place!.split('/').at(-1));
        const [, refusal] = why?.split('PostgreSQL refuses its effects: ') ?? [];
        return place === `${stand.topic}/${partition}` && reason.test(refusal ?? '');
      },
      'health says which partition waits',
      withinMs,
    );
    return partition;
  }

  /** Waits until all messages of the other partitions have their effects. */
  function othersGoOn(held: number): Promise<true> {
    return eventually(
      async () => {
        const [rows, marks] = await Promise.all([effects(), stand.kafka.admin.watermarks(stand.topic)]);
        const done = Map.groupBy(rows, ({ place }) => Number(place.split('/')[0]));
        return [...marks].every(([p, { high }]) => p === held || (done.get(p)?.length ?? 0) === Number(high));
      },
      'the others go on',
      withinMs,
    );
  }

  const assertNoLetters = async () =>
    assert.equal((await stand.database.pool.query('SELECT FROM millrace.dead_letters')).rowCount, 0);

  const ways: Record<string, (member: string) => Partial<InboxOptions>> = {
    '': (member) => ({ handle: insertOf(member) }),
    ', and so does one that collects effects': (member) => ({
      handle: insertOf(member),
      accumulator: accumulatorOf(insertOf(member)),
    }),
  };
  for (const [too, optionsOf] of Object.entries(ways))
    it(`goes on with the other partitions, also in another member, and has all in the end${too}`, async () => {
      await stand.database.pool.query(
        `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = 'MR001'; END $$;
       CREATE TRIGGER refuse BEFORE INSERT ON effects FOR EACH ROW WHEN (NEW.key = '${key}') EXECUTE FUNCTION refuse()`,
      );
      const { health } = stand.start(optionsOf('a'));
      await sendRange(0, 40);
      const held = await waiting(health, /^not now$/);
      await othersGoOn(held);
      await sendRange(40, 80);
      await othersGoOn(held);
      assert.equal(await waiting(health, /^not now$/), held);
      const other = stand.start(optionsOf('b'));
      await eventually(async () => /^$| waits: /.test(await reasonOf(other.health)), 'both are in the group');
      await sendRange(80, 120);
      await othersGoOn(held);
      assert.ok((await effects()).some(({ member }) => member === 'b'));
      await assertNoLetters();
      await stand.database.pool.query('DROP TRIGGER refuse ON effects');
      await reach(120);
      await assertOnceInOrder(120);
      for (const one of [health, other.health]) await eventually(() => isReady(one), 'it is well');
    });

  const locks = [
    { what: 'a row that they change', sql: `SELECT FROM slots WHERE key = '${key}' FOR UPDATE`, isBlocked: false },
    { what: 'their key, as a replay does', sql: 'SELECT FROM millrace.blocked_keys FOR UPDATE', isBlocked: true },
  ];
  for (const { what, sql, isBlocked } of locks)
    it(`goes on with the other partitions while a session holds ${what}`, async (t) => {
      const pool = createPool({ name: 'refused-test', url: stand.database.url, max: 4, log, statementMs: 1_000 });
      t.after(async () => {
        await Promise.all(stand.inboxes.map((inbox) => inbox.stop()));
        await pool.end();
      });
      await stand.database.pool.query('CREATE TABLE slots AS SELECT n::text AS key FROM generate_series(0, 19) n');
      if (isBlocked)
        await stand.database.pool.query(
          'INSERT INTO millrace.blocked_keys (consumer_group, topic, key_hash, is_released) VALUES ($1, $2, $3, true)',
          [stand.group, stand.topic, hashOf(Buffer.from(key))],
        );
      const session = await stand.database.pool.connect();
      try {
        await session.query('SET idle_in_transaction_session_timeout = 0');
        await session.query('BEGIN');
        await session.query(sql);
        const rounds: number[][] = [];
        const { health } = stand.start({
          pool,
          async handle(tx, events) {
            rounds.push(events.map((event) => event.partition));
            await tx.query('SELECT FROM slots WHERE key = ANY ($1::text[]) ORDER BY key FOR UPDATE', [
              events.map((event) => event.key),
            ]);
            await stand.insert(tx, events);
          },
        });
        await sendRange(0, 40);
        const held = await waiting(health, /^canceling statement due to (statement|lock) timeout$/);
        await othersGoOn(held);
        rounds.length = 0;
        await sendRange(40, 80);
        await othersGoOn(held);
        assert.ok(
          rounds.every((round) => !round.includes(held) || new Set(round).size === 1),
          'what waits is tried by itself',
        );
      } finally {
        session.release(true); // its session ends, and with it the transaction
      }
      await reach(80);
      await assertOnceInOrder(80);
    });
});
