import type { EventServiceSpec } from '#platform/declaration-schema';
import type { KafkaConnection } from '#platform/kafka';
import type { Api } from '#runtime/api.ts';
import { caKey, clusterHost, readSecret } from '../database-pools.ts';
import { KafkaProblem } from './problem.ts';

/** An external Kafka, as an EventService has it. */
export type ExternalKafkaSpec = NonNullable<NonNullable<EventServiceSpec['kafka']>['external']>;

/** A user of Kafka, as a Secret has it. @throws KafkaProblem with this reason where it does not */
export async function userIn(
  api: Api,
  namespace: string,
  secret: string,
  reason: 'NoKafkaUser' | 'NoKafkaLogin',
  signal: AbortSignal,
): Promise<{ username: string; password: string }> {
  const found = await readSecret(api, namespace, secret, signal);
  if (!found) throw new KafkaProblem(reason, `the Secret ${secret} does not exist`);
  const { username = '', password = '' } = found;
  const missing = Object.entries({ username, password }).flatMap(([key, value]) => (value === '' ? [key] : []));
  if (missing.length > 0) throw new KafkaProblem(reason, `the Secret ${secret} has no ${missing.join(', ')}`);
  return { username, password };
}

/** How the operator connects to an external Kafka. @throws KafkaProblem where a Secret is missing */
export async function connectionTo(
  api: Api,
  namespace: string,
  { bootstrapServers, sasl, tls }: ExternalKafkaSpec,
  signal: AbortSignal,
): Promise<KafkaConnection> {
  const brokers = bootstrapServers.split(',').map((server) => {
    const [, host = '', port] = /^(.*):(\d+)$/.exec(server)!;
    return `${clusterHost(host, namespace)}:${port}`;
  });
  const user = sasl && (await userIn(api, namespace, sasl.secretRef.name, 'NoKafkaLogin', signal));
  const authority = tls?.caSecretRef?.name;
  const ca = authority && (await readSecret(api, namespace, authority, signal))?.[caKey];
  if (authority && !ca)
    throw new KafkaProblem('NoCertificates', `the Secret ${authority} does not exist, or has no ${caKey}`);
  return {
    brokers,
    ...(user && { sasl: { mechanism: sasl!.mechanism, ...user } }),
    ...(tls && { tls: ca ? { ca } : {} }),
  };
}
