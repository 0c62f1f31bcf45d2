import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { KafkaClients } from './kafka-clients.ts';

it('the clients of many namespaces that are visited in turn stay, and one goes that nobody uses any more', async () => {
  const clock = new ManualClock();
  const closed: string[] = [];
  const clients = new KafkaClients(({ brokers }) => ({ close: async () => void closed.push(...brokers) }), clock);
  const get = (name: string) => clients.get(name, { brokers: [name] });
  const first = await get('first');
  for (let round = 0; round < 2; round++) for (let i = 0; i < 100; i++) await get(`other-${i}`);
  assert.deepEqual(closed, []);
  await clock.advance(4 * 60_000);
  assert.equal(await get('first'), first);
  await clock.advance(60_000);
  assert.equal(await get('first'), first);
  assert.equal(closed.length, 100);
});

it('of too many clients, the one is closed that was used longest ago', async () => {
  const closed: string[] = [];
  const clients = new KafkaClients(
    ({ brokers }) => ({ close: async () => void closed.push(...brokers) }),
    new ManualClock(),
  );
  const get = (name: string) => clients.get(name, { brokers: [name] });
  for (let i = 0; i <= 1_000; i++) await get(`${i}`);
  assert.deepEqual(closed, ['0']);
});
