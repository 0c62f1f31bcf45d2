// Sends mails again that have failed. It runs beside the service, with its environment: in a cluster in its pod, on a developer's machine
// by `npm run resend -- notifications`.
import { parseArgs } from 'node:util';
import { messageOf } from '#platform/errors';
import { createPool } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { countFailed, sendAgain } from './failed-mails.ts';

const usage = `Usage: node services/notifications/resend.ts --since <time> [--reason <text>] [--list]

Makes the mails due that are FAILED and were made since a time such as 2026-11-29T02:00:00Z; with --reason those whose reason contains
the text. --list changes nothing, and shows the reasons. Mails of users who are deleted are left out.`;

/** @returns the exit code */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      since: { type: 'string', default: '' },
      reason: { type: 'string', default: '' },
      list: { type: 'boolean', default: false },
    },
  });
  const url = process.env['DATABASE_URL'];
  const since = new Date(values.since);
  if (!url || Number.isNaN(since.getTime())) {
    console.error(url ? usage : `DATABASE_URL is not set.\n\n${usage}`);
    return 2;
  }
  const pool = createPool({ name: 'resend', url, max: 1, log: createLogger('resend', 'silent') });
  const which = { since, reason: values.reason };
  try {
    if (values.list) for (const { reason, mails } of await countFailed(pool, which)) console.log(`${mails}  ${reason}`);
    else console.log(`${await sendAgain(pool, which)} mails are sent again`);
    return 0;
  } finally {
    await pool.end();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}
