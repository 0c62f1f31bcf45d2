export {
  brokerSettings,
  consumptionOf,
  declarationsDir,
  eventServices,
  nodeFlags,
  parseDuration,
  streamQueryFiles,
  topics,
} from './declarations.ts';
export { backfillGroup, broadcastPrefix, deadLetterTopic, rebuildGroup, versionPrefix } from './groups.ts';
export type { EventService, Topic } from './declarations.ts';
export { EventServiceSpec } from './event-service.ts';
export { declarationFaults } from './validate.ts';
export { ConsumerGroup, Name, TopicName, immutable, keyedBy } from './fields.ts';
