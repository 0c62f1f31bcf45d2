import type { ErrorCatalogue } from './coded-error.ts';

/** The errors of the platform. */
export const platformErrors = {
  ERR_BATCHER_FULL: {
    means: 'More writes wait for the database than may wait.',
    action: 'Nothing: the client gets 503 and comes back. If it lasts, see what the database is busy with.',
  },
  ERR_BATCHER_RESULTS: {
    means: 'A batch had other than one result for each of its items.',
    action: 'Report it: the function that handles the batch has a fault.',
  },
  ERR_CONFIG_INVALID: {
    means: 'The configuration of the process cannot be used.',
    action: 'Mend every line that the message lists, in the environment or in the files below CONFIG_DIR.',
  },
  ERR_CONTRACT_CONFLICT: {
    means: 'Two contracts define an event, a topic or an operation of the same name.',
    action: 'Rename one of them in services/contracts.',
  },
  ERR_DATABASE_AWAY: {
    means: 'The database of a consumer cannot be used.',
    action: 'Nothing, where the database is being restarted: the consumer waits. Else see the cause in the log.',
  },
  ERR_DECLARATION_CONSUMES_NOTHING: {
    means: 'A service consumes topics, but its declaration names none.',
    action: 'Add `consumes` to its declaration in charts/millrace/files.',
  },
  ERR_DECLARATION_DURATION: {
    means: 'A duration in a declaration cannot be read.',
    action: 'Write a whole number with ms, s, m, h or d, such as `7d`.',
  },
  ERR_EVENT_INVALID: {
    means: 'A message is not an event of the contract. No retry mends it: it goes to the dead letters.',
    action: 'See who wrote it. Mend the producer or the contract, then replay the dead letter or discard it.',
  },
  ERR_HEALTH_CHECK_TIMEOUT: {
    means: 'A check of the health did not end in time.',
    action: 'See why the part that it names does not answer.',
  },
  ERR_HTTP_PROBLEM: {
    means: 'A request is answered with a problem, whose `type`, `status` and `detail` say what is wrong with it.',
    action: 'For a status below 500 mend the request; for 503 repeat it after `Retry-After`; else see the log.',
  },
  ERR_INBOX_MESSAGE_GIVEN_UP: {
    means: 'A message could not be handled, and goes to the dead letters of the group.',
    action: 'See its reason in the table millrace.dead_letters, mend it, and replay the message or discard it.',
  },
  ERR_INBOX_NOT_COMMITTED: {
    means: 'Another member of the group has taken a partition over while its messages were handled.',
    action: 'Nothing: the other member handles them. It is seen in traces only.',
  },
  ERR_INBOX_OFFSETS_MOVED: {
    means: 'Another member of the group has moved the offsets of a partition.',
    action: 'Nothing: the transaction is rolled back, and the other member goes on.',
  },
  ERR_INBOX_OUTDATED: {
    means: 'What was taken in does not hold any more, and is read again.',
    action: 'Nothing.',
  },
  ERR_INBOX_PARTITION_UNREADABLE: {
    means: 'A partition ends before the offset that the group has read up to: its topic was recreated or truncated.',
    action: 'To read it from its start, delete the row of millrace.inbox_offsets that the message names.',
  },
  ERR_INBOX_PARTITION_UNKNOWN: {
    means: 'Kafka does not know a partition that it has assigned.',
    action: 'Nothing, where the topic was just made: the consumer tries again. Else see whether the topic exists.',
  },
  ERR_KAFKA_CLOSED: {
    means: 'Kafka was asked for something after its client was closed.',
    action: 'Nothing, where the process stops. Else report it: a part of the process outlives its Kafka client.',
  },
  ERR_KAFKA_HEARTBEAT: {
    means: 'A consumer has sent no heartbeat to its group for too long.',
    action: 'See whether the brokers answer, and whether the process is short of processor time.',
  },
  ERR_KAFKA_NOT_JOINED: {
    means: 'A consumer is not in its group; the message says why.',
    action: 'See whether the brokers answer and whether its KafkaUser may read the topics. It tries until it can.',
  },
  ERR_KAFKA_PATCH: {
    means: 'kafkajs is not the version that platform/kafka/kafkajs changes.',
    action: 'Install the version that package.json names.',
  },
  ERR_KAFKA_RECORD_FORMAT: {
    means: 'A topic holds records in a format from before Kafka 0.11.',
    action: 'Let its producer write with a newer client.',
  },
  ERR_KAFKA_SEND_FAILED: {
    means: 'Kafka has not acknowledged messages as it must. Whether they are in the log is unknown.',
    action: 'Nothing: they are sent again. If it lasts, see whether the brokers and their replicas are in sync.',
  },
  ERR_KAFKA_STUCK: {
    means: 'A consumer gives no sign of life. The liveness probe ends the process.',
    action: 'Nothing: Kubernetes restarts the process. If it comes back, see the log before the restart.',
  },
  ERR_KAFKA_TOPIC_MISSING: {
    means: 'A topic has no partitions, because nobody has made it.',
    action: 'Declare the topic in charts/millrace/files, or create it.',
  },
  ERR_KAFKA_UNREACHABLE: {
    means: 'No broker answers.',
    action: 'See whether KAFKA_BROKERS is right and the brokers run. Requests are answered meanwhile.',
  },
  ERR_MAIL_TOO_LARGE: {
    means: 'A mail is larger than the mail catcher takes.',
    action: 'Send a smaller one, or use a real SMTP server.',
  },
  ERR_MIGRATION_ARGUMENT: {
    means: 'The command line of the migration is not understood.',
    action: 'Write it as the usage below the message says.',
  },
  ERR_MIGRATION_EDITED: {
    means: 'A migration that was applied has been changed afterwards.',
    action: 'Take the change back, and write it as a new migration.',
  },
  ERR_MIGRATION_FAILED: {
    means: 'A statement of a migration failed, or the database did.',
    action: 'Mend what the message names, and run the migration again: nothing of the failed one is left.',
  },
  ERR_OUTBOX_CURSOR_AHEAD: {
    means: 'The cursors of the outbox are ahead of the database, which was restored from a dump.',
    action: 'Do what the message says: it names the rows to reset and the rows to delete before.',
  },
  ERR_OUTBOX_NOT_PUBLISHED: {
    means: 'The relay cannot publish the events of the outbox; the cause says why. They wait in the database.',
    action: 'See to the cause, mostly Kafka. The relay tries until it can, and nothing is lost.',
  },
  ERR_OUTBOX_PACK: {
    means: 'A record batch in a row of the outbox is truncated.',
    action: 'Report it: the row was not written by this release.',
  },
  ERR_PROJECTION_REBUILD_CANCELLED: {
    means: 'The rebuild of a read model was cancelled.',
    action: 'Nothing: the version in use stays.',
  },
  ERR_PROJECTION_TABLES_DIFFER: {
    means: 'A migration has changed the tables of a read model while it was rebuilt.',
    action: 'Ask for another rebuild.',
  },
  ERR_UNAVAILABLE: {
    means: 'Work cannot be done right now, for a reason that passes.',
    action: 'Nothing: it is tried again. The message says what it waits for.',
  },
} as const satisfies ErrorCatalogue;

export type PlatformErrorCode = keyof typeof platformErrors;
