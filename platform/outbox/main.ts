// Lets a service publish its events again, or over more partitions. It runs beside the service, with its environment: in a cluster in
// its pod, on a developer's machine by `npm run republish` and `npm run partitions`.
import { parseArgs } from 'node:util';
import { Type } from 'typebox';
import { loadConfig } from '#platform/config';
import { eventServices } from '#platform/declarations';
import { messageOf } from '#platform/errors';
import { createKafka, kafkaConfig, kafkaConnection } from '#platform/kafka';
import { createPool } from '#platform/postgres';
import type { Pool } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { firstIdSince, republish } from './republish.ts';
import { spreadTopic } from './spread.ts';

const USAGE = `Usage: node platform/outbox/main.ts republish --from <id> | --since <time>
       node platform/outbox/main.ts partitions [<topic> [--ignore <group>]...]

republish   publishes the events in the database of DATABASE_URL again, from the one with this id on; 1 is the first
            one. --since is a time such as 2026-11-29T02:00:00Z, by the clock of the service: from the first event of that time on.
partitions  shows over how many partitions the events of the topics are spread; spreads those of a topic over all that it has, when
            all consumer groups but the ignored ones have read what is there. It needs the KAFKA_ settings of a user that may
            describe the groups.`;

const log = createLogger('outbox', 'silent');
/** how long the events of a topic wait for its consumer groups */
const withinMs = 60_000;

/** @returns the exit code */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    strict: false,
    options: { from: { type: 'string' }, since: { type: 'string' }, ignore: { type: 'string', multiple: true } },
  });
  const [command, topic, ...rest] = positionals;
  const start = startOf(values);
  const url = process.env['DATABASE_URL'];
  const isRepublish = command === 'republish' && start !== undefined && topic === undefined;
  if (!url || !(isRepublish || (command === 'partitions' && rest.length === 0))) {
    console.error(url ? USAGE : `DATABASE_URL is not set.\n\n${USAGE}`);
    return 2;
  }
  const pool = createPool({ name: 'outbox', url, max: 1, log });
  try {
    if (isRepublish) {
      const from = start instanceof Date ? await firstIdSince(pool, start) : start;
      const { source, events } = from === undefined ? { source: 'the outbox', events: 0 } : await republish(pool, from);
      console.log(`${events} events of ${source} are published again`);
    } else await partitions(pool, topic, (values.ignore ?? []) as string[]);
    return 0;
  } catch (error) {
    console.error(messageOf(error));
    return 1;
  } finally {
    await pool.end();
  }
}

/** The id or the time of the options; undefined where it is neither. */
function startOf({ from, since }: { from?: unknown; since?: unknown }): number | Date | undefined {
  const time = new Date(String(since));
  if (from === undefined) return Number.isNaN(time.getTime()) ? undefined : time;
  const id = Number(from);
  return since === undefined && Number.isSafeInteger(id) && id >= 1 ? id : undefined;
}

async function partitions(pool: Pool, topic: string | undefined, ignored: readonly string[]): Promise<void> {
  const connection = kafkaConnection(loadConfig(Type.Object(kafkaConfig)));
  const kafka = createKafka({ ...connection, clientId: 'partitions', log });
  const { admin } = kafka;
  try {
    if (topic !== undefined) {
      const groups = eventServices()
        .flatMap(({ spec }) => spec.consumes ?? [])
        .flatMap(({ group, topics }) => (topics.includes(topic) ? [group] : []));
      console.log(`The events of ${topic} wait until its consumer groups have read those that are there.`);
      const { from, to } = await spreadTopic({ pool, admin }, { topic, groups, ignored, withinMs });
      console.log(`${topic}: its events were spread over ${from} partitions, and are over ${to} now`);
      return;
    }
    const { rows } = await pool.query<{ topic: string; partitions: number }>(
      'SELECT topic, partitions FROM millrace.outbox_topics ORDER BY topic',
    );
    for (const row of rows) {
      const present = (await admin.watermarks(row.topic)).size;
      console.log(`${row.topic}  ${row.partitions} of ${present} partitions`);
    }
  } finally {
    await kafka.close();
  }
}

process.exitCode = await main();
