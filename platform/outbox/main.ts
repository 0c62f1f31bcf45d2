// Lets a service publish its events again. It runs beside the service, with its DATABASE_URL: in a cluster in its pod, on a
// developer's machine by `npm run republish`.
import { parseArgs } from 'node:util';
import { messageOf } from '#platform/errors';
import { createPool } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { republish } from './republish.ts';

const USAGE = `Usage: node platform/outbox/main.ts --from <id>

Publishes the events in the database of DATABASE_URL again, from the one with this id on; 1 is the first one.`;

/** @returns the exit code */
async function main(): Promise<number> {
  const { values } = parseArgs({ options: { from: { type: 'string' } }, strict: false });
  const from = Number(values.from);
  const url = process.env['DATABASE_URL'];
  if (!Number.isSafeInteger(from) || from < 1 || !url) {
    console.error(url ? USAGE : `DATABASE_URL is not set.\n\n${USAGE}`);
    return 2;
  }
  const pool = createPool({ name: 'republish', url, max: 1, log: createLogger('republish', 'silent') });
  try {
    const { source, events } = await republish(pool, from);
    console.log(`${events} events of ${source} are published again`);
    return 0;
  } catch (error) {
    console.error(messageOf(error));
    return 1;
  } finally {
    await pool.end();
  }
}

process.exitCode = await main();
