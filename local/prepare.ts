import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { topics, type EventService } from '#platform/declarations';
import { createKafka, type KafkaAdmin, type KafkaConnection } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { MigrationError, migrate, type MigrationTarget } from '#platform/migrate';

import { databaseUrl, ensureDatabases } from './databases.ts';
import { Fault } from './fault.ts';

const GROUPS_WITHIN_MS = 15_000;

/** The options of the preparation. */
export interface Preparation {
  services: EventService[];
  say: (line: string) => void;
  signal: AbortSignal;
}

/**
 * Creates and migrates the declared databases.
 * @param root the clone, which the declared schema folders are below
 */
export async function prepareDatabases(root: string, superuserUrl: string, what: Preparation): Promise<void> {
  what.signal.throwIfAborted();
  const databases = what.services.flatMap(({ spec }) => spec.databases ?? []);
  await ensureDatabases(
    superuserUrl,
    databases.map(({ name }) => name),
  );
  const targets = databases.map(({ name, schema }) => ({
    url: databaseUrl(superuserUrl, name),
    database: name,
    schemaFolder: join(root, schema),
  }));
  for (const { database, migrations } of await migrateOrFault(targets))
    if (migrations.length > 0) what.say(`database ${database} has ${migrations.join(', ')} now`);
}

async function migrateOrFault(targets: MigrationTarget[]) {
  try {
    return await migrate(targets);
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    const hint = 'Put the change into a new migration, or delete the local data: npm start -- --fresh';
    throw new Fault(error.message, error.code === 'ERR_MIGRATION_EDITED' ? { hint, cause: error } : { cause: error });
  }
}

/** Creates the declared topics that do not exist, and waits until consumer groups can be joined. */
export async function prepareTopics(connection: KafkaConnection, what: Preparation): Promise<void> {
  what.signal.throwIfAborted();
  const log = createLogger('millrace', 'silent');
  const kafka = createKafka({ ...connection, clientId: 'millrace-local', log });
  try {
    const created = await kafka.admin.ensureTopics(topics(what.services));
    if (created.length > 0) what.say(`created the topics ${created.join(', ')}`);
    await untilGroupsCanJoin(kafka.admin, what);
  } finally {
    await kafka.close();
  }
}

/** A new Kafka creates its topic of offsets for the first group, and rejects groups until it exists. */
async function untilGroupsCanJoin(admin: KafkaAdmin, { services, signal }: Preparation): Promise<void> {
  const deadline = Date.now() + GROUPS_WITHIN_MS;
  for (const { group, topics: names } of services.flatMap(({ spec }) => spec.consumes ?? [])) {
    while (!signal.aborted) {
      try {
        await admin.committed(group, names);
        break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await delay(50);
      }
    }
  }
}
