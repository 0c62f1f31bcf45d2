import { setTimeout as sleep } from 'node:timers/promises';
import type { AclEntry, Admin } from 'kafkajs';
import { PlatformError } from '#platform/errors';
import { errorCodeOf } from '../errors.ts';
import type { Acl, KafkaManager, ManagedTopic } from '../port.ts';
import { clientOf, configOf, connected, reach } from './client.ts';
import type { KafkaOptions } from './client.ts';
import type { IdentifiedPartition } from './metadata.ts';
import { kafkajs } from './patches.ts';

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ConfigResourceTypes, ConfigSource } = kafkajs;
const { ResourcePatternTypes } = kafkajs;

/** All brokers know a new topic within this time, in milliseconds. */
const knownWithinMs = 10_000;

/** The manager of a Kafka over kafkajs; it connects when it is used. */
export function createKafkaManager(options: KafkaOptions): KafkaManager {
  const { brokers } = options;
  let admin: Promise<Admin> | undefined;
  let isClosed = false;
  const connect = (): Promise<Admin> => {
    if (isClosed) throw new PlatformError('ERR_KAFKA_CLOSED', 'this Kafka was closed');
    admin ??= connected(
      clientOf(configOf(options), (client) => client.admin()),
      brokers,
    ).catch((error: unknown) => {
      admin = undefined;
      throw error;
    });
    return admin;
  };
  /** @throws the refusal of the brokers, else KafkaUnreachable */
  const ask = async <T>(question: (client: Admin) => Promise<T>): Promise<T> => {
    const client = await connect();
    try {
      return await question(client);
    } catch (error) {
      if (errorCodeOf(error) !== undefined) throw error;
      return await reach(brokers, Promise.reject(error as Error));
    }
  };

  const topic = async (name: string): Promise<ManagedTopic | undefined> => {
    try {
      const { topics } = await ask((client) => client.fetchTopicMetadata({ topics: [name] }));
      const partitions = topics.flatMap((one) => one.partitions) as unknown as IdentifiedPartition[];
      const [first] = partitions;
      return first && { id: first.topicId, partitions: partitions.length, replicas: first.replicas.length };
    } catch (error) {
      if (errorCodeOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION') return undefined;
      throw error;
    }
  };

  const describe = async (name: string) => {
    const resources = [{ type: ConfigResourceTypes.TOPIC, name }];
    const described = await ask((client) => client.describeConfigs({ resources, includeSynonyms: false }));
    return described.resources.flatMap(({ configEntries }) => configEntries);
  };

  return {
    topic,
    brokers: async () => (await ask((client) => client.describeCluster())).brokers.length,
    async createTopic({ name, partitions, replicas, config }) {
      const configEntries = Object.entries(config).map(([key, value]) => ({ name: key, value }));
      const wanted = { topic: name, numPartitions: partitions, replicationFactor: replicas, configEntries };
      // kafkajs's own wait fails if a broker does not know the topic yet
      const isNew = await ask((client) => client.createTopics({ topics: [wanted], waitForLeaders: false }));
      if (!isNew) return undefined;
      for (const end = performance.now() + knownWithinMs; ; await sleep(50)) {
        const created = await topic(name);
        if (created) return created;
        // it exists all the same
        if (performance.now() > end) return { id: undefined, partitions, replicas };
      }
    },
    async addPartitions(name, partitions) {
      await ask((client) => client.createPartitions({ topicPartitions: [{ topic: name, count: partitions }] }));
    },
    async config(name) {
      const entries = await describe(name);
      return Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]));
    },
    async changeConfig(name, changes) {
      // a request of this kind resets what it does not name
      const own = (await describe(name)).filter((entry) => entry.configSource === ConfigSource.TOPIC_CONFIG);
      const kept = Object.fromEntries(own.map(({ configName, configValue }) => [configName, configValue]));
      const configEntries = Object.entries({ ...kept, ...changes }).map(([key, value]) => ({ name: key, value }));
      const resources = [{ type: ConfigResourceTypes.TOPIC, name, configEntries }];
      await ask((client) => client.alterConfigs({ resources, validateOnly: false }));
    },
    async deleteTopic(name) {
      try {
        await ask((client) => client.deleteTopics({ topics: [name] }));
      } catch (error) {
        if (errorCodeOf(error) !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error;
      }
    },
    async keepAcls(user, acls) {
      const principal = `User:${user}`;
      const all = {
        principal,
        resourceType: AclResourceTypes.ANY,
        resourcePatternType: ResourcePatternTypes.ANY,
        operation: AclOperationTypes.ANY,
        permissionType: AclPermissionTypes.ANY,
      };
      const { resources } = await ask((client) => client.describeAcls(all));
      const found = new Map(
        resources.flatMap(({ acls: entries, ...resource }) =>
          entries.map((entry) => {
            const one: AclEntry = { ...resource, ...entry };
            return [idOf(one), one] as const;
          }),
        ),
      );
      const wanted = new Map(acls.map((acl) => entryOf(principal, acl)).map((entry) => [idOf(entry), entry]));
      const given = [...wanted].filter(([id]) => !found.has(id)).map(([, entry]) => entry);
      const taken = [...found].filter(([id]) => !wanted.has(id)).map(([, entry]) => entry);
      if (given.length > 0) await ask((client) => client.createAcls({ acl: given }));
      if (taken.length > 0) await ask((client) => client.deleteAcls({ filters: taken }));
      return { given: given.length, taken: taken.length };
    },
    async close() {
      isClosed = true;
      await (await admin?.catch(() => undefined))?.disconnect();
    },
  };
}

const resourceTypes = { topic: AclResourceTypes.TOPIC, group: AclResourceTypes.GROUP };
const patternTypes = { literal: ResourcePatternTypes.LITERAL, prefix: ResourcePatternTypes.PREFIXED };
const operations = {
  Read: AclOperationTypes.READ,
  Write: AclOperationTypes.WRITE,
  Describe: AclOperationTypes.DESCRIBE,
};

const entryOf = (principal: string, { resource, operation }: Acl): AclEntry => ({
  resourceType: resourceTypes[resource.type],
  resourceName: resource.name,
  resourcePatternType: patternTypes[resource.patternType],
  principal,
  host: '*',
  operation: operations[operation],
  permissionType: AclPermissionTypes.ALLOW,
});

/** The same for two entries that give the same right. */
function idOf({ principal, host, operation, permissionType, ...resource }: AclEntry): string {
  const { resourceType, resourceName, resourcePatternType } = resource;
  return JSON.stringify([principal, host, operation, permissionType, resourceType, resourceName, resourcePatternType]);
}
