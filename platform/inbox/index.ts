export type { Accumulation, Accumulator, PartitionEvents } from './accumulation.ts';
export { deadLetterColumns, isPending, messageOf } from './dead-letter-row.ts';
export type { DeadLetterRow } from './dead-letter-row.ts';
export type { RecreatedTopics } from './assignment.ts';
export { Inbox } from './inbox.ts';
export { isTombstone } from './item.ts';
export { isRecreated, OffsetsMoved, Outdated, loadOffsets, moveOffsets, truncatedMark } from './offsets.ts';
export { consumerPart } from './operations/handlers.ts';
export type { Handle } from './writer.ts';
