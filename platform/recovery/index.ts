export { recoverCommand } from './command.ts';
export { writeAccepted } from './recover.ts';
export type { Recovery, Refused, Taken, TopicEvent } from './recover.ts';
