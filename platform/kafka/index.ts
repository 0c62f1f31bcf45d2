export { subscribeLatest } from './broadcast.ts';
export { kafkaConfig, kafkaConnection } from './config.ts';
export { keyOf } from './record/decoder.ts';
export { murmur2, partitionOf, partitionOfHash } from './partitioning.ts';
export { createKafka, createKafkaManager, errorCodeOf, KafkaUnreachable, refusalOf, sendTimeoutMs } from './port.ts';
export type {
  Acl,
  ByteRange,
  ConsumerHandle,
  IncomingBatch,
  IncomingMessage,
  Kafka,
  KafkaAdmin,
  KafkaConnection,
  KafkaManager,
  OutgoingMessage,
  Producer,
  RawRecord,
  Refusal,
  TopicPartition,
  Watermarks,
} from './port.ts';
export { readTopic } from './read-topic.ts';
export { PartitionRecords, RecordWriter } from './record/encoder.ts';
export { topicConfig } from './topic-config.ts';
export { readTopicLog } from './topic-log.ts';
export { isTopicName, nameOf } from './topic-name.ts';
