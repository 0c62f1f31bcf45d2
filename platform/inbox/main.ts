// Shows the stored offsets of consumer groups, and decides where a group reads a topic from that was created again or truncated. It
// runs beside a service, with the environment of the service: in a cluster in its pod, on a developer's machine by `npm run offsets`.
import { Type } from 'typebox';
import { loadConfig } from '#platform/config';
import { messageOf } from '#platform/errors';
import { createKafka, kafkaConfig, kafkaConnection } from '#platform/kafka';
import { createPool } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { decideOffsets } from './decide.ts';

const USAGE = `Usage: node platform/inbox/main.ts list
       node platform/inbox/main.ts restart <group> <topic>   reads the topic from its start
       node platform/inbox/main.ts end <group> <topic>       reads the topic from its end, and none of what it has

A decision is about the partitions that the group cannot read. With --all at the end it is about all of them.

It needs the KAFKA_ settings and the database URLs of the service.`;

interface Row {
  consumer_group: string;
  topic: string;
  partition: number;
  next_offset: string;
  topic_id: string | null;
}

/** @returns the exit code */
async function main([command, group, topic, ...rest]: string[]): Promise<number> {
  const isList = command === 'list' && group === undefined;
  const all = rest.length === 1 && rest[0] === '--all';
  const isDecision = (command === 'restart' || command === 'end') && group && topic && (all || rest.length === 0);
  if (!isList && !isDecision) {
    console.error(USAGE);
    return 2;
  }
  const log = createLogger('offsets', 'silent');
  const kafka = createKafka({
    ...kafkaConnection(loadConfig(Type.Object(kafkaConfig))),
    clientId: 'offsets',
    log,
  });
  const urls = Object.entries(process.env).filter(([name, url]) => name.endsWith('DATABASE_URL') && url);
  const pools = urls.map(([name, url]) => createPool({ name, url: url!, max: 1, log }));
  try {
    if (isList) {
      for (const pool of pools) {
        const { rows } = await pool.query<Row>(
          'SELECT consumer_group, topic, partition, next_offset, topic_id FROM millrace.inbox_offsets ORDER BY 1, 2, 3',
        );
        for (const row of rows)
          console.log(
            `${row.consumer_group}  ${row.topic}/${row.partition}  ${row.next_offset}  ${row.topic_id ?? ''}`,
          );
      }
      return 0;
    }
    for (const pool of pools) {
      const decided = await decideOffsets(
        { pool, admin: kafka.admin },
        { group: group!, topic: topic!, decision: command as 'restart', all },
      );
      if (!decided) continue;
      const where = [...decided].map(([partition, offset]) => `${partition} from ${offset}`).join(', ');
      if (decided.size > 0) console.log(`${group} reads ${topic}: partition ${where}`);
      else
        console.log(`${group} can read ${topic}: there is nothing to decide. With --all it is decided all the same.`);
      return 0;
    }
    console.error(
      `No database of this service has offsets of ${group} for ${topic}. The command list shows those that there are.`,
    );
    return 1;
  } catch (error) {
    console.error(messageOf(error));
    return 1;
  } finally {
    await Promise.all([kafka.close(), ...pools.map((pool) => pool.end())]);
  }
}

process.exitCode = await main(process.argv.slice(2));
