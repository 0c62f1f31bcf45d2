import assert from 'node:assert/strict';
import { test } from 'node:test';

import { runArguments } from './kafka-docker.ts';
import { javaVersion } from './kafka-java.ts';

test('javaVersion reads old and new numbering', () => {
  assert.equal(javaVersion('openjdk version "17.0.15" 2025-04-15\nOpenJDK'), 17);
  assert.equal(javaVersion('java version "1.8.0_402"'), 8);
  assert.equal(javaVersion('openjdk version "25" 2025-09-16'), 25);
  assert.equal(javaVersion('command not found'), undefined);
});

test('the container publishes its port only to this machine, and gets its settings in the form of the image', () => {
  const options = { folder: '/d', port: 29_092, controllerPort: 29_093 };
  const args = runArguments('apache/kafka:4.3.1', 'millrace', options);
  assert.deepEqual(args.slice(0, 5), ['run', '--rm', '--detach', '--name', 'millrace']);
  assert.equal(args.at(-1), 'apache/kafka:4.3.1');
  for (const setting of [
    '127.0.0.1:29092:29092',
    'KAFKA_PROCESS_ROLES=broker,controller',
    'KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:29092,CONTROLLER://0.0.0.0:29093',
    'KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:29092',
    'KAFKA_LOG_DIRS=/var/lib/kafka/data',
    'millrace:/var/lib/kafka/data',
  ])
    assert.ok(args.includes(setting), setting);
});
