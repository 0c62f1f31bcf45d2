// Somebody else's client of Kafka: kafkajs as it is published, in a process of its own, because the adapter replaces parts of
// it at load. It does what its standard input says.
import { json } from 'node:stream/consumers';
import { zstdCompressSync } from 'node:zlib';
import kafkajs from 'kafkajs';

/** A record, with its parts as text; null is no value. */
export interface StrangersRecord {
  key: string;
  value: string | null;
  headers: Record<string, string>;
}

export type Errand =
  | { kind: 'send'; topic: string; records: StrangersRecord[]; compressed: boolean }
  | { kind: 'add-partitions'; topic: string; add: number };

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
  const { topic, records: messages, compressed } = errand;
  await producer.send({ topic, messages, compression: compressed ? CompressionTypes.ZSTD : CompressionTypes.None });
  await producer.disconnect();
} else {
  const admin = kafka.admin();
  await admin.connect();
  const { topics } = await admin.fetchTopicMetadata({ topics: [errand.topic] });
  const count = topics[0]!.partitions.length + errand.add;
  await admin.createPartitions({ topicPartitions: [{ topic: errand.topic, count }] });
  await admin.disconnect();
}
