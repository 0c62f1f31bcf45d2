import { fileURLToPath } from 'node:url';

import { databaseUrl } from '#local/databases.ts';
import { topics as declaredTopics } from '#platform/declarations';
import { createKafka, type KafkaAdmin } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import type { System } from '../system.ts';
import { runNode, send } from './errand.ts';
import { insist, nothing, Skipped, type Inject, type Undo } from './fault.ts';
import { sendForeignAgain } from './foreign.ts';

const republish = fileURLToPath(new URL('../../../platform/outbox/main.ts', import.meta.url));
const createMs = 30_000;

/** Adds two partitions to a topic: the keys of later events move. */
export const addPartitions: Inject = async (system, { target }) => {
  await send(system, { kind: 'add-partitions', topic: target, add: 2 });
  return nothing;
};

/**
 * Deletes a topic with all its records. At the end it is created again, and who wrote to it does so again, as operations.md says.
 * With other partitions than before, analytics would count those events again that are not among the last of a partition.
 */
export const recreateTopic: Inject = async (system, { target }) => {
  const declared = declaredTopics().find(({ name }) => name === target)!;
  const { size } = await withAdmin(system, (admin) => admin.watermarks(target));
  if (size !== declared.partitions) throw new Skipped(`${target} has got other partitions than it is declared with`);
  const create: Undo = async () => {
    await withAdmin(system, (admin) => admin.ensureTopics([declared]));
    await publishAgain(system, target);
    if (target === 'order-events') await sendForeignAgain(system);
  };
  system.recreated.add(target);
  try {
    await send(system, { kind: 'delete', topic: target });
  } catch (error) {
    await insist(create, createMs); // it may be deleted
    throw error;
  }
  return create;
};

/** What `npm run republish` does for the service whose topic it is. */
async function publishAgain({ services, postgres }: System, topic: string): Promise<void> {
  const owner = services.find(({ spec }) => spec.produces?.some((produced) => produced.topic === topic))!;
  const env = { DATABASE_URL: databaseUrl(postgres, owner.metadata.name) };
  await runNode([republish, 'republish', '--from', '1'], env);
}

async function withAdmin<T>({ brokers }: System, work: (admin: KafkaAdmin) => Promise<T>): Promise<T> {
  const kafka = createKafka({ brokers, clientId: 'chaos-topics', log: createLogger('chaos', 'silent') });
  try {
    return await work(kafka.admin);
  } finally {
    await kafka.close();
  }
}
