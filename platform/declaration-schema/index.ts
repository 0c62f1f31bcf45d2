export { EventServiceSpec, databaseNamePattern } from './event-service.ts';
export { declarationFaults } from './faults.ts';
export { ConsumerGroup, Name, TopicName, immutable, keyedBy, labelNameRule, rules, topicNameRule } from './fields.ts';
export type { Rule } from './fields.ts';
