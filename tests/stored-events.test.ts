import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import { contracts, decodeEvent } from '#contracts/index.ts';
import type { ReceivedEvent } from '#platform/contract';
import { encodeHeaders } from '#platform/contract';
import type { PoolClient } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { applyEvents } from '../services/notifications/intake.ts';
import { processOrderEvents } from '../services/orders/projection/order-event-processor.ts';

interface Recorded {
  type: string;
  source: string;
  topic: string;
  data: Record<string, unknown>;
}

const recorded = new URL('../services/contracts/releases/0.1.0.jsonl', import.meta.url);
const samples = new Map(
  readFileSync(recorded, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recorded)
    .filter(({ topic }) => topic === 'order-events' || topic === 'user-events')
    .map((event) => [event.type, event]),
);

/** What JSON can say, and columns often cannot. */
const texts = ['', 'a\0b', '\ud800', '\udc00', '👩‍🚀', 'a'.repeat(10_000)];
const times = `0000-01-01T00:00:00Z 0001-01-01T00:00:00.000Z 1000-01-01T00:00:00+15:59 9999-12-31T23:59:59.999Z
  2026-01-01T00:00:00+23:59 2026-01-01T00:00:00-15:59 2016-12-31T23:59:60Z 2026-01-01t00:00:00z 2026-02-30T00:00:00Z
  2024-02-29T24:00:00Z 2026-01-01T00:00:00.123456789Z infinity`.split(/\s+/);
const numbers = [-1, 0, 1, 0.01, 1e-7, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1, 2 ** 53, 2 ** 63, 1e15, 1e17, 1e21, 1e300];
const extremes: unknown[] = [...texts, ...times, ...numbers, null, true, [], {}, [{}]];

/** The data with another value at one place, for each place and value. */
function* changed(data: unknown): Generator {
  yield* extremes;
  if (typeof data !== 'object' || data === null) return;
  for (const [name, value] of Object.entries(data))
    for (const other of changed(value))
      yield Array.isArray(data)
        ? data.map((item: unknown, index) => (String(index) === name ? other : item))
        : { ...data, [name]: other };
}

/** The events that the contract accepts. */
function accepted({ type, source, topic, data }: Recorded): ReceivedEvent[] {
  return [...changed(data)].flatMap((value, index) => {
    const event = { id: `${type}-${index}`, type, source, subject: '1', time: new Date() };
    const message = { topic, partition: 0, offset: BigInt(index), key: '1', headers: encodeHeaders(event) };
    try {
      return [decodeEvent({ ...message, value: Buffer.from(JSON.stringify(value)) })];
    } catch {
      return [];
    }
  });
}

const consumers = [
  ['orders-read', processOrderEvents],
  ['notifications', (tx: PoolClient, events: readonly ReceivedEvent[]) => applyEvents(tx, events, 3_600_000)],
] as const;

for (const [name, handle] of consumers)
  describe(`the consumer with the database ${name}`, () => {
    let database: TestDatabase;
    before(async () => {
      database = await createTestDatabase(name);
    });
    after(() => database.drop());

    const declared = Object.keys(contracts.events).filter((type) => /^(order|user)\./.test(type));
    for (const type of declared)
      it(`stores each ${type} that the contract accepts`, async () => {
        const events = accepted(samples.get(type)!);
        assert.ok(events.length > 10);
        const client = await database.pool.connect();
        try {
          for (const event of events) {
            await client.query('BEGIN');
            const outcome = await handle(client, [event]).catch((error: unknown) => error as Error);
            await client.query('ROLLBACK');
            assert.equal(outcome?.message, undefined, JSON.stringify(event.data).slice(0, 400));
          }
        } finally {
          client.release();
        }
      });
  });
