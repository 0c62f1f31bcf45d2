import { users as contract } from '#contracts/users.ts';
import { subscribeLatest } from '#platform/kafka';
import type { ConsumerHandle, Kafka } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { UserServiceClient } from './client.ts';

export interface ChangedUsersOptions {
  kafka: Kafka;
  users: Pick<UserServiceClient, 'forget' | 'forgetAll'>;
  log: Logger;
}

/** Clears a cached user when an event of that user arrives, and all of them when events may have been missed. */
export function forgetChangedUsers({ kafka, users, log }: ChangedUsersOptions): ConsumerHandle {
  return subscribeLatest({
    kafka,
    topics: contract.events['user.updated'].topics,
    log,
    onMessage: ({ key }) => users.forget(Number(key)),
    onReset: () => users.forgetAll(),
  });
}
