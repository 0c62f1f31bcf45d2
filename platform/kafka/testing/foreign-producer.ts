// A producer of somebody else, for tests: kafkajs as it is published, in a process of its own, because the adapter replaces parts
// of it at load. It reads its steps from the standard input, and does one after another.
import { json } from 'node:stream/consumers';
import { Kafka, logLevel } from 'kafkajs';
import type { Producer, Transaction } from 'kafkajs';

/** A step of a producer: its record, or the end of its transaction. */
export type Step =
  | { producer: string; kind: 'record'; key: string | null; value: string }
  | { producer: string; kind: 'commit' | 'abort' };

export interface Plan {
  brokers: string[];
  topic: string;
  steps: Step[];
}

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

for (const step of steps) {
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
