import { parseArgs } from 'node:util';
import { Type } from 'typebox';
import { loadConfig, url } from '#platform/config';
import { messageOf } from '#platform/errors';
import { createKafka, kafkaConfig, kafkaConnection } from '#platform/kafka';
import { createPool } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { recover } from './recover.ts';
import type { Recovery } from './recover.ts';

/** One statement may write the state of every aggregate. */
const statementMs = 600_000;

/**
 * The command of a service that takes back what its restored database has lost. It runs beside the service, with its environment.
 * @returns the exit code; 1 also where the database refuses an event, or has another one of the same id
 */
export async function recoverCommand(recovery: Recovery, args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { list: { type: 'boolean', default: false } } });
  const log = createLogger('recover', 'silent');
  const config = loadConfig(Type.Object({ ...kafkaConfig, DATABASE_URL: url('postgres', 'postgresql') }));
  const pool = createPool({ name: 'recover', url: config.DATABASE_URL, max: 1, log, statementMs });
  const kafka = createKafka({ ...kafkaConnection(config), clientId: 'recover', log });
  try {
    const { events, conflicts, isPublishedAgain, tooHigh, refused } = await recover(recovery, {
      pool,
      kafka,
      isTrial: values.list,
    });
    if (values.list) for (const id of events) console.log(id);
    for (const id of conflicts) console.log(`${id}: the database has another event than ${recovery.topic}`);
    for (const { id, reason } of refused) console.log(`${id}: the database refuses it: ${reason}`);
    for (const id of tooHigh)
      console.log(`${id}: its key is too high for more to be drawn after it; they go on after the others`);
    const what = values.list ? 'are in the topic and not in the database' : 'are taken back';
    console.log(`${events.length} events of ${recovery.topic} ${what}`);
    if (isPublishedAgain)
      console.log('They are published again, with those that the topic did not have: consumers drop what comes twice.');
    return conflicts.length + refused.length > 0 ? 1 : 0;
  } catch (error) {
    console.error(messageOf(error));
    return 1;
  } finally {
    await Promise.all([kafka.close(), pool.end()]);
  }
}
