import { eventually } from '#test/eventually.ts';
import { testKafka } from '#test/kafka.ts';
import { kafkajs } from '../kafkajs/patches.ts';

type Admin = ReturnType<typeof kafkajs.Kafka.prototype.admin>;

/** Does by kafkajs what the port to Kafka does not offer. @param brokers default: those of the tests */
export async function administer(
  work: (admin: Admin) => Promise<unknown>,
  brokers = testKafka().brokers,
): Promise<void> {
  const admin = new kafkajs.Kafka({ brokers: brokers.split(','), logLevel: kafkajs.logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** Deletes a topic, and waits until the brokers have forgotten it. */
export async function deleteTopic(topic: string): Promise<void> {
  await administer(async (admin) => {
    await admin.deleteTopics({ topics: [topic] });
    await eventually(async () => !(await admin.listTopics()).includes(topic), `${topic} is deleted`);
  });
}

/** Sets a setting of a topic, and waits until the brokers have it. */
export async function configureTopic(
  topic: string,
  { name, value }: { name: string; value: string },
  brokers?: string,
): Promise<void> {
  const type = kafkajs.ConfigResourceTypes.TOPIC;
  await administer(async (admin) => {
    const configEntries = [{ name, value }];
    await admin.alterConfigs({ validateOnly: false, resources: [{ type, name: topic, configEntries }] });
    await eventually(async () => {
      const asked = { includeSynonyms: false, resources: [{ type, name: topic }] };
      const [found] = (await admin.describeConfigs(asked)).resources;
      return found?.configEntries.some((entry) => entry.configName === name && entry.configValue === value);
    }, `${topic} has ${name} ${value}`);
  }, brokers);
}
