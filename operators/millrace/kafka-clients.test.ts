import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ManualClock, settle } from '#runtime/testing/manual-clock.ts';
import { memoryLog } from '#runtime/testing/support.ts';
import { KafkaClients } from './kafka-clients.ts';

const log = memoryLog();

it('the clients of many namespaces that are visited in turn stay, and one goes that nobody uses any more', async () => {
  const clock = new ManualClock();
  const closed: string[] = [];
  const clients = new KafkaClients(({ brokers }) => ({ close: async () => void closed.push(...brokers) }), {
    clock,
    log,
  });
  const get = (name: string) => clients.get(name, { brokers: [name] });
  const first = get('first');
  for (let round = 0; round < 2; round++) for (let i = 0; i < 100; i++) get(`other-${i}`);
  assert.deepEqual(closed, []);
  await clock.advance(4 * 60_000);
  assert.equal(get('first'), first);
  await clock.advance(60_000);
  assert.equal(get('first'), first);
  assert.equal(closed.length, 100);
});

it('of too many clients, the one is closed that was used longest ago', () => {
  const closed: string[] = [];
  const clients = new KafkaClients(({ brokers }) => ({ close: async () => void closed.push(...brokers) }), {
    clock: new ManualClock(),
    log,
  });
  const get = (name: string) => clients.get(name, { brokers: [name] });
  for (let i = 0; i <= 1_000; i++) get(`${i}`);
  assert.deepEqual(closed, ['0']);
});

it('a client that cannot be closed, or not soon, holds nobody up but who closes all', async () => {
  const refusal = new Error('a socket is gone');
  const [slow, broken] = [Promise.withResolvers<void>(), Promise.reject(refusal)];
  broken.catch(() => undefined);
  const closes: Record<string, Promise<void>> = { slow: slow.promise, broken };
  const clients = new KafkaClients(({ brokers: [name = ''] }) => ({ name, close: () => closes[name]! }), {
    clock: new ManualClock(),
    log,
  });
  for (const name of ['slow', 'broken', 'good']) assert.equal(clients.get('shop', { brokers: [name] }).name, name);
  closes['good'] = Promise.resolve();
  let isClosed = false;
  const closed = clients.close().then(() => (isClosed = true));
  await settle();
  assert.equal(isClosed, false);
  assert.deepEqual(log.lines, [
    { level: 'warn', message: 'a client of Kafka cannot be closed', details: { err: refusal, kafka: 'shop' } },
  ]);
  slow.resolve();
  await closed;
});
