import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import type { ConsumerHandle, IncomingBatch, IncomingMessage, Kafka } from '#platform/kafka';
import { forgetChangedUsers } from './changed-users.ts';

type ConsumerOptions = Parameters<Kafka['consumer']>[0];

test('an event clears its user from the cache, and a rejoin clears all users, because events may have been missed', async () => {
  let options: ConsumerOptions | undefined;
  const consumer = { start: () => undefined } as ConsumerHandle;
  const kafka = { consumer: (given: ConsumerOptions) => ((options = given), consumer) } as unknown as Kafka;
  const forgotten: (number | 'all')[] = [];
  forgetChangedUsers({
    kafka,
    users: { forget: (id) => forgotten.push(id), forgetAll: () => forgotten.push('all') },
    log: pino({ level: 'silent' }),
  });
  const event = (key: string) => options!.onBatch({ messages: [{ key } as IncomingMessage] } as IncomingBatch);

  options!.onAssigned!([]);
  await event('7');
  options!.onAssigned!([]);
  await event('8');

  assert.deepEqual(forgotten, ['all', 7, 'all', 8]);
});
