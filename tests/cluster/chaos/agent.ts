// Runs in a pod of the cluster, where services, PostgreSQL and Kafka have their addresses: makes the load, watches, and compares
// the hops. It asks the one who started it for the faults, by lines of JSON: messages.ts.
import { createInterface } from 'node:readline';

import { Type } from 'typebox';

import { loadConfig } from '#platform/config';
import { eventServices } from '#platform/declarations';
import { kafkaConfig, kafkaConnection } from '#platform/kafka';
import { databaseNameOf, withClient } from '#platform/postgres';
import { Skipped } from '../../chaos/faults/fault.ts';
import type { Observed } from '../../chaos/observed.ts';
import { drawFrom, type PlannedFault } from '../../chaos/plan.ts';
import { runPlan } from '../../chaos/run.ts';
import { clusterDraws, type ClusterFaultKind } from './draws.ts';
import { MailReader } from './mails.ts';
import type { FromAgent, Task, ToAgent } from './messages.ts';

const task = JSON.parse(process.argv[2]!) as Task;
const env = (name: string): string => process.env[name] ?? '';

const tell = (line: FromAgent): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const asked = new Map<number, PromiseWithResolvers<void>>();
let lastId = 0;

/** Asks for a fault, or for its end, and waits until it is there. */
async function ask(what: { cause: PlannedFault<ClusterFaultKind> } | { end: number }): Promise<number> {
  const id = (lastId += 1);
  const answer = Promise.withResolvers<void>();
  asked.set(id, answer);
  tell({ id, ...what });
  await answer.promise;
  return id;
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, error, skipped } = JSON.parse(line) as ToAgent;
  const answer = asked.get(id);
  if (error === undefined) answer?.resolve();
  else answer?.reject(skipped ? new Skipped(error) : new Error(error));
});

const services = eventServices();
const portOf = (name: string) => services.find(({ metadata }) => metadata.name === name)!.spec.port;
const mails = new MailReader(env('MAIL_URL'));
const system: Observed = {
  services,
  url: (name) => `http://${name}:${portOf(name)}`,
  postgres: `postgresql://${env('PGUSER')}:${encodeURIComponent(env('PGPASSWORD'))}@postgresql:5432/postgres`,
  kafka: kafkaConnection(loadConfig(Type.Object(kafkaConfig))),
  mails: mails.mails,
  recreated: new Set(),
  isDown: () => false, // its replicas are Kubernetes' own matter
};
const database = new URL(system.postgres);
database.pathname = `/${databaseNameOf('notifications')}`;
const before = await withClient(database.href, async (client) => {
  const { rows } = await client.query<{ id: string }>(`SELECT event_id AS id FROM notifications WHERE status = 'SENT'`);
  return rows.map(({ id }) => id);
});
await mails.start(before);
try {
  const { seed, minutes, kinds, prefix } = task;
  const result = await runPlan({
    system,
    prefix,
    plan: drawFrom(clusterDraws, kinds, { seed, minutes }),
    cause: async (fault) => {
      const id = await ask({ cause: fault });
      return async () => void (await ask({ end: id }));
    },
    say: (line) => tell({ say: line }),
    signal: new AbortController().signal,
  });
  tell({ result });
} finally {
  await mails.stop();
}
process.exit(); // the input is still open
