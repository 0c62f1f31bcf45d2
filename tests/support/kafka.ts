import { randomBytes } from 'node:crypto';

import { createKafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';

import { testServers } from './servers.ts';

/** The brokers that tests use. */
export function testKafka(): { brokers: string } {
  return { brokers: testServers().brokers };
}

/**
 * Creates a topic that no other test uses.
 * @param prefix of the name, for readers of logs
 */
export async function uniqueTopic(prefix: string, partitions = 6): Promise<string> {
  const name = `${prefix}-${randomBytes(6).toString('hex')}`;
  const { brokers } = testKafka();
  const kafka = createKafka({ brokers: brokers.split(','), clientId: 'tests', log: createLogger('tests', 'silent') });
  try {
    await kafka.admin.ensureTopics([{ name, partitions, retentionMs: -1 }]);
  } finally {
    await kafka.close();
  }
  return name;
}
