import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, test } from 'node:test';

import { testKafka } from '#test/kafka.ts';
import { parseBrokers, probeBroker } from './kafka-probe.ts';

test('parseBrokers takes host:port only', () => {
  assert.deepEqual(parseBrokers('a:1, [::1]:9092'), [
    { host: 'a', port: 1 },
    { host: '::1', port: 9092 },
  ]);
  for (const list of ['', 'a', 'a:', 'a:0', 'a:70000', 'a:1,', 'http://a:1'])
    assert.equal(parseBrokers(list), undefined, list);
});

describe('probeBroker', () => {
  test('counts the brokers of a cluster', async () => {
    const [broker] = parseBrokers(testKafka().brokers) ?? [];
    assert.ok(broker);
    assert.equal(await probeBroker(broker.host, broker.port, 5_000), 1);
  });

  test('detects a server that is not Kafka', async () => {
    const server = createServer((socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await assert.rejects(probeBroker('127.0.0.1', port, 5_000), /not Kafka/);
    server.close();
    await once(server, 'close');
    await assert.rejects(probeBroker('127.0.0.1', port, 5_000), { code: 'ECONNREFUSED' });
  });

  test('does not mistake its own request for an answer', async () => {
    const echo = createServer((socket) => socket.pipe(socket));
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const { port } = echo.address() as AddressInfo;
    await assert.rejects(probeBroker('127.0.0.1', port, 5_000), /not Kafka/);
    echo.close();
  });
});
