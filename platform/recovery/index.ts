export { recoverCommand } from './command.ts';
export type { Recovery, Taken, TopicEvent } from './recover.ts';
