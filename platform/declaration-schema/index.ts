export { EventServiceSpec } from './event-service.ts';
export { declarationFaults } from './faults.ts';
export { ConsumerGroup, Name, TopicName, immutable, keyedBy } from './fields.ts';
