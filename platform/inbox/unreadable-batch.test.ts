import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReceivedEvent } from '#platform/contract';
import { eventually } from '#test/eventually.ts';
import { produceForeign } from '#platform/kafka/testing/produce-foreign.ts';
import type { ZstdStep } from '#platform/kafka/testing/foreign-producer.ts';
import type { Accumulator } from './accumulation.ts';
import { inboxStand, log, message } from './testing.ts';

describe('a batch that nobody can read', () => {
  const stand = inboxStand();
  const partition = 0;

  const batch = (numbers: number[], changes: Partial<ZstdStep> = {}): ZstdStep => ({
    kind: 'zstd',
    frames: 1,
    partition,
    messages: numbers.map((n) => ({ ...message(n), value: String(message(n).value) })),
    ...changes,
  });

  const accumulator: Accumulator = {
    prepare: () => Promise.resolve(),
    begin: () => {
      const accepted: ReceivedEvent[] = [];
      return {
        add: ({ events }) => void accepted.push(...events),
        write: (tx) => stand.insert(tx, accepted),
      };
    },
    reset: () => undefined,
  };

  for (const [name, options] of [
    ['written in its own transaction', {}],
    ['collected in memory', { accumulator }],
  ] as const) {
    it(`costs its own offsets one dead letter by reference: effects ${name}`, async (t) => {
      const error = t.mock.method(log, 'error');
      await produceForeign(stand.topic, [
        batch([0]),
        batch([1, 2, 3], { zeros: 6 * 1024 * 1024 }), // more than a process decompresses
        batch([4, 5], { frames: 2 }),
        batch([6, 7], { partition: 1 }),
      ]);
      const { health } = stand.start(options);
      await stand.reach(5);
      const numbers = (await stand.effects()).map(({ n }) => n);
      assert.deepEqual(
        numbers.toSorted((a, b) => a - b),
        [0, 4, 5, 6, 7],
      );
      const { rows } = await stand.database.pool.query(
        `SELECT partition, "offset", reason, error_code, is_reference, is_waiting, attempts FROM millrace.dead_letters`,
      );
      assert.equal(rows.length, 1);
      const { reason, ...letter } = rows[0] as { reason: string };
      assert.match(reason, /^the records from offset 1 to 3 cannot be read: .*16777216 bytes/);
      assert.deepEqual(letter, {
        partition,
        offset: '1',
        error_code: 'ERR_KAFKA_COMPRESSION',
        is_reference: true,
        is_waiting: false,
        attempts: 1,
      });
      await eventually(() => stand.isReady(health), 'it is ready');
      assert.deepEqual(
        error.mock.calls.map(({ arguments: [where] }) => (where as unknown as { from: string; to: string }).to),
        ['3'],
        'the log says it once',
      );
    });
  }
});
