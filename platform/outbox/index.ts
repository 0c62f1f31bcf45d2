export { findInOutbox } from './lost-events.ts';
export type { OwnEvents } from './lost-events.ts';
export { RecordBatchBuilder, rawRecordEvent } from './record-batch.ts';
export { OutboxRelay } from './relay.ts';
export { leaseMs, untilRelaysFollow } from './shards.ts';
export { settleEnds } from './topic-ends.ts';
export { appendToOutbox, outboxInsert } from './write.ts';
export type { OutboxEvent } from './write.ts';
