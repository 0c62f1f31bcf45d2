import type { Admin, CompressionTypes, ConsumerConfig, KafkaConfig, Producer as KafkajsProducer } from 'kafkajs';
import { PlatformError } from '#platform/errors';
import { KafkaJsAdmin } from './admin.ts';
import { clientOf, configOf, connected, reach } from './client.ts';
import type { KafkaOptions } from './client.ts';
import { KafkaJsConsumer } from './consumer.ts';
import { answersOf, kafkajs } from './patches.ts';
import { KafkaJsProducer, chosenPartition } from './producer.ts';
import { sendTimeoutMs } from '../errors.ts';
import type { Kafka, Producer } from '../port.ts';
import type { CompressionType } from '../record/codecs.ts';

/**
 * Kafka over kafkajs; it connects when it is used.
 * @param options with `leaderWithinMs`: how long who asks for offsets waits for the leader of a partition, in milliseconds; default 10,000
 */
export function createKafka(options: KafkaOptions & { leaderWithinMs?: number }): Kafka {
  const { brokers, compression = 'none', log, leaderWithinMs } = options;
  const common = configOf(options);
  // the producer retries itself, within the time of a send
  const sending: KafkaConfig = { ...common, requestTimeout: sendTimeoutMs / 2, retry: { retries: 0 } };
  const closing = new Set<() => Promise<void>>();
  let isClosed = false;
  const assertOpen = (): void => {
    if (isClosed) throw new PlatformError('ERR_KAFKA_CLOSED', 'this Kafka was closed');
  };

  let admin: Promise<Admin> | undefined;
  const openAdmin = async (): Promise<Admin> => {
    assertOpen();
    return connected(
      clientOf(common, (client) => client.admin()),
      brokers,
    );
  };
  const connectAdmin = async (): Promise<Admin> => {
    assertOpen();
    admin ??= openAdmin().catch((error: unknown) => {
      admin = undefined;
      throw error;
    });
    return admin;
  };

  const renewAdmin = async (): Promise<void> => {
    const old = admin;
    admin = undefined;
    await (await old?.catch(() => undefined))?.disconnect();
  };

  const topics = new KafkaJsAdmin(connectAdmin, openAdmin, renewAdmin, leaderWithinMs);

  return {
    admin: topics,
    async producer(): Promise<Producer> {
      assertOpen();
      const newClient = () =>
        clientOf(sending, (own) =>
          compressing(
            own.producer({ allowAutoTopicCreation: false, idempotent: false, createPartitioner: chosenPartition }),
            compression,
          ),
        );
      const client = newClient();
      const connect = () => connected(newClient(), brokers);
      const producer = new KafkaJsProducer(client, connect, connectAdmin, answersOf);
      const close = () => producer.close();
      closing.add(close); // also while it is being connected
      try {
        await connected(client, brokers);
      } catch (error) {
        closing.delete(close);
        throw error;
      }
      return producer;
    },
    consumer(consuming) {
      assertOpen();
      const create = (config: ConsumerConfig) => clientOf(common, (own) => own.consumer(config));
      const consumer = new KafkaJsConsumer(create, topics, consuming, log);
      closing.add(() => consumer.stop());
      return consumer;
    },
    async check() {
      const asking = await connectAdmin();
      await reach(brokers, asking.describeCluster());
    },
    async close() {
      isClosed = true;
      await Promise.all([...closing].map((close) => close()));
      await (await admin?.catch(() => undefined))?.disconnect();
    },
  };
}

const compressionOf: Record<CompressionType, CompressionTypes> = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  snappy: kafkajs.CompressionTypes.Snappy,
  lz4: kafkajs.CompressionTypes.LZ4,
  zstd: kafkajs.CompressionTypes.ZSTD,
};

/** A producer of kafkajs that compresses whatever it sends. */
function compressing(producer: KafkajsProducer, type: CompressionType): KafkajsProducer {
  const compression = compressionOf[type];
  return {
    ...producer,
    send: (record) => producer.send({ ...record, compression }),
    sendBatch: (batch) => producer.sendBatch({ ...batch, compression }),
  };
}
