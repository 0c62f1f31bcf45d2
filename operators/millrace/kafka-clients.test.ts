import assert from 'node:assert/strict';
import { it } from 'node:test';
import { KafkaClients } from './kafka-clients.ts';

it('of many clients, the one is closed that was used longest ago', async () => {
  const closed: string[] = [];
  const clients = new KafkaClients(({ brokers }) => ({ close: async () => void closed.push(...brokers) }));
  const get = (name: string) => clients.get(name, { brokers: [name] });
  const first = await get('first');
  for (let i = 1; i < 64; i++) await get(`other-${i}`);
  assert.equal(await get('first'), first);
  await get('one-more');
  assert.deepEqual(closed, ['other-1']);
  assert.equal(await get('first'), first);
});
