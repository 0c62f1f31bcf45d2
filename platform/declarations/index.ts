export {
  brokerSettings,
  consumptionOf,
  deadLetterTopic,
  declarationsDir,
  eventServices,
  parseDuration,
  streamQueryFiles,
  topics,
} from './declarations.ts';
export type { EventService, Topic } from './declarations.ts';
