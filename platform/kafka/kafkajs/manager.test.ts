import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';
import pino from 'pino';

import { eventually } from '#test/eventually.ts';
import { testKafka } from '#test/kafka.ts';
import { createKafkaManager } from './manager.ts';

describe('the manager of a Kafka', () => {
  const brokers = testKafka().brokers.split(',');
  const managerOf = (addresses: string[]) =>
    createKafkaManager({ brokers: addresses, clientId: 'tests', log: pino({ enabled: false }) });
  const [one, another] = [managerOf(brokers), managerOf(brokers)];
  after(() => Promise.all([one.close(), another.close()]));

  it('finds no topic where somebody else deletes one while it asks', async () => {
    // kafkajs asks twice for an answer; about every second deletion falls between
    for (let round = 0; round < 8; round += 1) {
      const name = `deleted-${randomBytes(4).toString('hex')}`;
      const made = await one.createTopic({ name, partitions: 1, replicas: 1, config: {} });
      assert.deepEqual(await one.topic(name), made);
      const deletion = another.deleteTopic(name);
      await eventually(async () => (await one.topic(name)) === undefined, 'it is gone');
      await deletion;
    }
  });

  it('connects to an IPv6 address', async (t) => {
    const [, host, port] = /^(.*):(\d+)$/.exec(brokers[0]!)!;
    const server = createServer((socket) => {
      const broker = connect(Number(port), host!);
      for (const end of [socket, broker]) end.on('error', () => undefined);
      socket.pipe(broker).pipe(socket);
    }).listen(0, '::1');
    await once(server, 'listening');
    const manager = managerOf([`[::1]:${(server.address() as AddressInfo).port}`]);
    t.after(async () => {
      await manager.close();
      server.close();
    });
    assert.equal(await manager.brokers(), 1);
  });
});
