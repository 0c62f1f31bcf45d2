import { eventually } from '#test/eventually.ts';
import { testKafka } from '#test/kafka.ts';
import { kafkajs } from '../kafkajs/patches.ts';

type Admin = ReturnType<typeof kafkajs.Kafka.prototype.admin>;

/** Does by kafkajs what the port to Kafka does not offer. */
export async function administer(work: (admin: Admin) => Promise<unknown>): Promise<void> {
  const { brokers } = testKafka();
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
