// Somebody else's client of Kafka: kafkajs as it is published, in a process of its own, because the adapter replaces parts of
// it at load. It does what its standard input says.
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import kafkajs, { type Admin } from 'kafkajs';

/** A record, with its parts as text; null is no value. */
export interface StrangersRecord {
  key: string;
  value: string | null;
  headers: Record<string, string>;
  /** so many zeros follow the value: compressed they are few bytes */
  zeros?: number;
}

export type Errand =
  | { kind: 'send'; topic: string; records: StrangersRecord[]; compressed: boolean }
  /** takes partitions of a group, and reads them without a word */
  | { kind: 'join'; group: string; topics: string[]; seconds: number }
  | { kind: 'add-partitions'; topic: string; add: number }
  | { kind: 'delete'; topic: string };

const { brokers, errand } = (await json(process.stdin)) as { brokers: string[]; errand: Errand };
const { Kafka, logLevel, CompressionTypes, CompressionCodecs } = kafkajs;
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: ({ buffer }: { buffer: Buffer }) => Promise.resolve(zstdCompressSync(buffer)),
  decompress: () => Promise.reject(new Error('a stranger reads nothing')),
});
const kafka = new Kafka({ brokers, clientId: 'stranger', logLevel: logLevel.NOTHING });

if (errand.kind === 'send') {
  const producer = kafka.producer();
  await producer.connect();
  const { topic, records, compressed } = errand;
  const messages = records.map(({ zeros = 0, value, ...rest }) => ({
    ...rest,
    value: value === null ? null : value + '\0'.repeat(zeros),
  }));
  await producer.send({ topic, messages, compression: compressed ? CompressionTypes.ZSTD : CompressionTypes.None });
  await producer.disconnect();
} else if (errand.kind === 'join') {
  const consumer = kafka.consumer({ groupId: errand.group });
  await consumer.connect();
  await consumer.subscribe({ topics: errand.topics });
  await consumer.run({ autoCommit: false, eachBatch: () => Promise.resolve() });
  await sleep(errand.seconds * 1_000);
  await consumer.disconnect();
} else {
  const admin = kafka.admin();
  await admin.connect();
  await (errand.kind === 'delete' ? deleteTopic(admin, errand.topic) : addPartitions(admin, errand));
  await admin.disconnect();
}

async function deleteTopic(admin: Admin, topic: string): Promise<void> {
  await admin.deleteTopics({ topics: [topic] });
  while ((await admin.listTopics()).includes(topic)) await sleep(50);
}

async function addPartitions(admin: Admin, { topic, add }: { topic: string; add: number }): Promise<void> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  const count = topics[0]!.partitions.length + add;
  await admin.createPartitions({ topicPartitions: [{ topic, count }] });
}
