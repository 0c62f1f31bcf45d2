// A producer of somebody else, for tests: kafkajs as it is published, in a process of its own, because the adapter replaces parts
// of it at load. It reads its steps from the standard input, and does one after another.
import { json } from 'node:stream/consumers';
import { zstdCompressSync } from 'node:zlib';
import kafkajs from 'kafkajs';
import type { Producer, Transaction } from 'kafkajs';

/**
 * A step of a producer: its record, the end of its transaction, or a batch of records without one. `leave` ends the process with the
 * transactions open; the next record of a producer of the same name aborts its own.
 */
export type Step =
  | { producer: string; kind: 'record'; key: string | null; value: string }
  | { producer: string; kind: 'commit' | 'abort' }
  | { kind: 'leave' }
  | ZstdStep;

/** A batch that is compressed with zstd, into as many frames. */
export interface ZstdStep {
  kind: 'zstd';
  frames: number;
  partition: number;
  messages: { key: string; value: string; headers: Record<string, string> }[];
  /** so many zeros follow each value */
  zeros?: number;
}

export interface Plan {
  brokers: string[];
  topic: string;
  steps: Step[];
}

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;
const { brokers, topic, steps } = (await json(process.stdin)) as Plan;
const kafka = new Kafka({ brokers, clientId: 'foreign', logLevel: logLevel.NOTHING });
const producers = new Map<string, Producer>();
const transactions = new Map<string, Transaction>();

async function transactionOf(name: string): Promise<Transaction> {
  let producer = producers.get(name);
  if (!producer) {
    producer = kafka.producer({ transactionalId: `${topic}-${name}`, maxInFlightRequests: 1, idempotent: true });
    await producer.connect();
    producers.set(name, producer);
  }
  const transaction = transactions.get(name) ?? (await producer.transaction());
  transactions.set(name, transaction);
  return transaction;
}

async function sendZstd({ frames, partition, messages, zeros = 0 }: ZstdStep): Promise<void> {
  const producer = kafka.producer();
  await producer.connect();
  const compress = ({ buffer }: { buffer: Buffer }) => {
    const length = Math.ceil(buffer.length / frames);
    const parts = Array.from({ length: frames }, (_, i) => buffer.subarray(i * length, (i + 1) * length));
    return Promise.resolve(Buffer.concat(parts.map((part) => zstdCompressSync(part))));
  };
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress,
    decompress: () => Promise.reject(new Error('not used')),
  });
  await producer.send({
    topic,
    compression: CompressionTypes.ZSTD,
    messages: messages.map((one) => ({ ...one, partition, value: one.value + '\0'.repeat(zeros) })),
  });
  await producer.disconnect();
}

for (const step of steps) {
  if (step.kind === 'zstd') {
    await sendZstd(step);
    continue;
  }
  if (step.kind === 'leave') process.exit();
  const transaction = await transactionOf(step.producer);
  if (step.kind === 'record') {
    const { key, value } = step;
    await transaction.send({ topic, messages: [{ key: key === null ? null : Buffer.from(key), value, partition: 0 }] });
  } else {
    await transaction[step.kind]();
    transactions.delete(step.producer);
  }
}
for (const transaction of transactions.values()) await transaction.commit();
for (const producer of producers.values()) await producer.disconnect();
