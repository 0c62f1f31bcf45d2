import type { ErrorCatalogue } from './coded-error.ts';

/** The errors of the platform. */
export const platformErrors = {
  ERR_BATCHER_FULL: {
    means: 'Too many writes wait for the database.',
    action: 'Nothing: the client gets 503 and tries again. If the error persists, check the load of the database.',
  },
  ERR_BATCHER_RESULTS: {
    means: 'The number of results of a batch differs from the number of its items.',
    action: 'Report it: the function that handles the batch has a fault.',
  },
  ERR_CONFIG_INVALID: {
    means: 'The configuration of the process has mistakes.',
    action: 'Correct the settings that the message lists, in the environment or in the files below CONFIG_DIR.',
  },
  ERR_CONTRACT_CONFLICT: {
    means: 'Two contracts define an event, a topic or an operation of the same name.',
    action: 'Rename one of them in services/contracts.',
  },
  ERR_DATABASE_AWAY: {
    means: 'The database of a consumer cannot be used.',
    action: 'Nothing during a restart of the database: the consumer waits. Otherwise read the cause in the log.',
  },
  ERR_DATABASE_POOLER: {
    means:
      'A pooler in transaction mode, such as PgBouncer, is between PostgreSQL and a service, its migrations or the operator.',
    action: 'Connect them to PostgreSQL itself, or set the pooler to sessions: leases and locks need them.',
  },
  ERR_DATABASE_ROLLED_BACK: {
    means: 'A statement of a transaction failed, the code went on, and PostgreSQL has rolled the transaction back.',
    action: 'Report it: the code of the transaction must not catch the error of a statement.',
  },
  ERR_DATABASE_SILENT: {
    means: 'PostgreSQL has not answered a statement in time: its process, its machine or the network hangs.',
    action:
      'Nothing: the work goes on with another connection. If the error returns, check PostgreSQL and the network.',
  },
  ERR_DATABASE_URL: {
    means: 'The connection string of a database has an `sslmode` that is not supported.',
    action: 'Use disable, require, verify-ca or verify-full.',
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
    means: 'A message is not an event of the contract. No retry can help: it goes to the dead letters.',
    action: 'Find its producer. Correct the producer or the contract, then replay the dead letter or discard it.',
  },
  ERR_HEALTH_CHECK_TIMEOUT: {
    means: 'A health check did not end in time.',
    action: 'Find out why the part that it names does not answer.',
  },
  ERR_HTTP_PROBLEM: {
    means: 'The response to a request is a problem; its `type`, `status` and `detail` describe the mistake.',
    action:
      'For a status below 500 correct the request; for 503 repeat it after `Retry-After`; for `outcome-unknown` look whether it took effect; otherwise read the log.',
  },
  ERR_INBOX_MESSAGE_GIVEN_UP: {
    means: 'The processing of a message failed, and it goes to the dead letters of the group.',
    action:
      'Read its reason in `GET /dead-letters` of the service, remove the cause, and replay the message or discard it.',
  },
  ERR_INBOX_NOT_COMMITTED: {
    means: 'Another member of the group has taken over a partition while its messages were processed.',
    action: 'Nothing: the other member processes them. Only traces show it.',
  },
  ERR_INBOX_NOT_LOCATED: {
    means: 'The offsets up to which a group has read cannot be loaded: Kafka or the database does not answer.',
    action: 'Look at what the message names. The consumer tries again by itself.',
  },
  ERR_INBOX_OFFSETS_MOVED: {
    means:
      'Another member of the group has moved the offsets of a partition, or they are of an earlier topic of that name.',
    action:
      'Nothing: the transaction rolls back, and the other member continues, or this one reads the messages again.',
  },
  ERR_INBOX_OUTDATED: {
    means: 'A processed batch is outdated, and its messages are read again.',
    action: 'Nothing.',
  },
  ERR_INBOX_PARTITION_UNREADABLE: {
    means: 'A partition ends before the offset that the group has read up to: its topic was recreated or truncated.',
    action: 'Decide where to read it from, with the command in the message: npm run offsets.',
  },
  ERR_INBOX_PARTITION_UNKNOWN: {
    means: 'Kafka does not have a partition that it has assigned.',
    action: 'Nothing for a new topic: the consumer tries again. Otherwise check whether the topic exists.',
  },
  ERR_INBOX_READ_ELSEWHERE: {
    means:
      'A member of the consumer group reads partitions and does not write to this database: another installation with the same Kafka, or ' +
      'another program with the name of the group. Nothing here reads the partitions that the message names.',
    action:
      'Find it with `kafka-consumer-groups.sh --describe --members --group <group>`, which shows its host, and stop it, or give it a Kafka of its ' +
      'own. The events are then read from the stored offsets on: none is lost.',
  },
  ERR_INBOX_REPLAY_WAITS: {
    means: 'The database fails again and again for the dead letters that are replayed.',
    action:
      'Remove the cause that the message names, mostly a lock: the replay goes on by itself. Where it is one dead letter that the database ' +
      'never ends, the replay fails once the group commits other messages; or discard it.',
  },
  ERR_INBOX_SELECTION: {
    means: 'The filter of a replay or a discard selects another number of dead letters than the request expects.',
    action: 'List the dead letters again, and repeat the request with their number: nothing was done.',
  },
  ERR_INBOX_STUCK: {
    means: 'A consumer has messages to read, and has made no progress for 15 seconds on the partitions that it names.',
    action:
      'Read the log of the service: a transaction may wait for a lock, or the handler for an answer. If nothing helps, restart it.',
  },
  ERR_INBOX_UNMEASURED: {
    means: 'A consumer cannot tell whether it makes progress: Kafka or its database gives no offsets.',
    action: 'Bring Kafka or the database back, whichever the message names.',
  },
  ERR_KAFKA_CLOSED: {
    means: 'The process used its Kafka client after it was closed.',
    action: 'Nothing if the process stops. Otherwise report it: a part of the process outlives its Kafka client.',
  },
  ERR_KAFKA_COMPRESSION: {
    means: 'The records of a batch cannot be decompressed, or have more than 16 MiB when decompressed.',
    action:
      'Find the producer of the batch. Each group has a dead letter that says which offsets it has lost; send their events again, and discard it.',
  },
  ERR_KAFKA_HEARTBEAT: {
    means: 'A consumer has sent no heartbeat to its group for too long.',
    action: 'Check whether the brokers answer, and whether the process lacks processor time.',
  },
  ERR_KAFKA_NO_LEADER: {
    means: 'Partitions have no leader: no broker that has their messages runs. Nobody can read or write them.',
    action:
      'Bring the brokers or the disks back that have their replicas. The other partitions go on; events for these are parked in the outbox.',
  },
  ERR_KAFKA_NOT_JOINED: {
    means: 'A consumer is not in its group; the message has the reason.',
    action:
      'Check whether the brokers answer and whether its KafkaUser may read the topics. It tries until it succeeds.',
  },
  ERR_KAFKA_OPEN_TRANSACTION: {
    means: 'Consumers of a partition wait for the end of a transaction that another program has begun in its log.',
    action:
      'Let that program commit or abort it. Kafka aborts it after the transaction timeout of its producer; kafka-transactions.sh finds and aborts one that hangs.',
  },
  ERR_KAFKA_PARTITION: {
    means:
      'The brokers give no records of some partitions, or the process cannot decode them; the message has the reasons.',
    action:
      'Look the reason up in the log of the brokers: a disk, a right, a replica. The other partitions go on, and these follow when it ends.',
  },
  ERR_KAFKA_PATCH: {
    means: 'kafkajs is not the version that platform/kafka/kafkajs changes.',
    action: 'Install the version that package.json names.',
  },
  ERR_KAFKA_RECORD_FORMAT: {
    means: 'A topic has records in a format from before Kafka 0.11.',
    action:
      'Let its producer write with a newer client. Each group has a dead letter that says which offsets it has lost; send their events again, and discard it.',
  },
  ERR_KAFKA_RECORDS_CORRUPT: {
    means: 'A record batch is not as it says: its size, its offsets, or the fields of its records.',
    action:
      'Check the disks of the brokers and the producer of the batch. Each group has a dead letter that says which offsets it has lost; send their events again, and discard it.',
  },
  ERR_KAFKA_SEND_FAILED: {
    means: 'Kafka has not acknowledged messages. It is unknown whether they are in the log.',
    action:
      'Nothing: they are sent again. If the error persists, check whether the replicas of the brokers are in sync.',
  },
  ERR_KAFKA_STUCK: {
    means: 'A consumer gives no sign of life. The liveness probe ends the process.',
    action: 'Nothing: Kubernetes restarts the process. If the error returns, read the log before the restart.',
  },
  ERR_KAFKA_TOPIC_MISSING: {
    means: 'A topic has no partitions, because it does not exist.',
    action: 'Declare the topic in charts/millrace/files, or create it.',
  },
  ERR_KAFKA_TOPICS_UNREAD: {
    means:
      'A consumer cannot read topics that it subscribes to: they do not exist, or it may not read them. It reads its others.',
    action:
      'Create the topics that the message names, or let the KafkaUser of the service read them. The consumer joins again within some seconds and ' +
      'reads them from their stored offsets on.',
  },
  ERR_KAFKA_UNREACHABLE: {
    means: 'No broker answers.',
    action: 'Check whether KAFKA_BROKERS is correct and the brokers run. The service answers requests meanwhile.',
  },
  ERR_MAIL_TOO_LARGE: {
    means: 'A mail is larger than the limit of the mail catcher.',
    action: 'Send a smaller one, or use a real SMTP server.',
  },
  ERR_MIGRATION_ARGUMENT: {
    means: 'The command line of the migration is wrong.',
    action: 'Follow the usage below the message.',
  },
  ERR_MIGRATION_EDITED: {
    means: 'An applied migration has been changed.',
    action: 'Undo the change, and write it as a new migration.',
  },
  ERR_MIGRATION_FAILED: {
    means: 'A statement of a migration failed, or the database did.',
    action: 'Remove the cause that the message names, and run the migration again: the failed one left nothing behind.',
  },
  ERR_OUTBOX_BEHIND: {
    means:
      'The topic of a service has events that its database has sent and no longer has: it was put back to an earlier time. Its next ' +
      'events would get their ids, and consumers would drop them as repeated.',
    action:
      'Take back what the database has lost, with `npm run recover`. Until then nothing is published, and ' +
      'commands are answered 503.',
  },
  ERR_OUTBOX_CURSOR_AHEAD: {
    means:
      'The database comes from another PostgreSQL server, and the relay cannot number the rows of its outbox anew.',
    action:
      'Let the role of the service update the column `xid` of the table or view that the message names. The relay tries until it ' +
      'succeeds, and then publishes what may be unpublished.',
  },
  ERR_OUTBOX_EVENTS_LOST: {
    means:
      'The log of a topic ends before events that Kafka has acknowledged: it was put back to an earlier time, or cut.',
    action:
      'Decide where the groups that refuse the topic go on, with `npm run offsets`, and publish the events again, with ' +
      '`npm run republish`: consumers drop those that they have. That ends it also where the topic is gone since.',
  },
  ERR_OUTBOX_HELD: {
    means:
      'The events of a topic wait in millrace.outbox_parked until it is decided over how many partitions they are spread.',
    action: 'Nothing: they go on within a minute.',
  },
  ERR_OUTBOX_NOT_PUBLISHED: {
    means: 'The relay cannot publish the events of the outbox; the cause has the reason. They wait in the database.',
    action: 'Remove the cause, mostly in Kafka. The relay tries until it succeeds, and loses nothing.',
  },
  ERR_OUTBOX_NOT_SPREAD: {
    means: 'The events of a topic are not spread over its new partitions; they go on to the former ones.',
    action:
      'Let the groups that the message names read the topic to its end, and run the command again. Leave out a group that has ended ' +
      'with `--ignore <group>`.',
  },
  ERR_OUTBOX_PACK: {
    means: 'A record batch in a row of the outbox is truncated, empty or malformed.',
    action:
      'Report it: this release did not write the row. It is parked in millrace.outbox_parked, and holds up no other one; to discard ' +
      'it, delete it there.',
  },
  ERR_OUTBOX_PARKED: {
    means:
      'Kafka refuses events of a topic, a partition of it takes none while others do, or the topic is held by `npm run partitions`. They ' +
      'are parked in millrace.outbox_parked. All other events are published.',
    action:
      'Wait where the topic is held. Otherwise create the topic, grant the right to write to it, or raise its `max.message.bytes`; where ' +
      'a partition fails, bring back what the message names, mostly its leader or its replicas. The relay publishes the events within a minute. To discard one, delete its row.',
  },
  ERR_OUTBOX_ROW: {
    means: 'No message can be made of a row of the outbox: its time is infinite, or a header is no text.',
    action:
      'Correct the row in millrace.outbox_parked, or delete it there: the platform did not write it. The relay tries it again within ' +
      'half a minute; later events of its key wait.',
  },
  ERR_OUTBOX_STUCK: {
    means: 'Nothing of the outbox was published for a while, although there are events to publish.',
    action:
      'End the transaction that the message names. Otherwise check whether PostgreSQL and Kafka answer; the relay goes on by itself.',
  },
  ERR_PROJECTION_REBUILD_CANCELLED: {
    means: 'The rebuild of a read model was cancelled.',
    action: 'Nothing: the version in use remains.',
  },
  ERR_PROJECTION_TABLES_DIFFER: {
    means: 'A migration has changed the tables of a read model while it was rebuilt.',
    action: 'Request another rebuild.',
  },
  ERR_PROJECTION_TOPIC_CHANGED: {
    means: 'A topic was created again, truncated or moved back while a read model was rebuilt from it.',
    action:
      'Decide where the group goes on if it refuses the topic, with `npm run offsets`. Request another rebuild when it reads the topic.',
  },
  ERR_UNAVAILABLE: {
    means: 'Work cannot be done now, for a temporary reason.',
    action: 'Nothing: it is retried. The message has the reason.',
  },
  ERR_WORK_STUCK: {
    means:
      'Work that a process does again and again has failed each time, or has not come to an end, for 15 seconds; work with longer rounds, ' +
      'for two of them. The message has its name and the reason.',
    action:
      'Remove the cause that the message has; the work goes on by itself. If it does not come to an end, look at what PostgreSQL and Kafka do.',
  },
} as const satisfies ErrorCatalogue;

export type PlatformErrorCode = keyof typeof platformErrors;
