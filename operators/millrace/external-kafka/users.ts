import type { Acl, KafkaManager } from '#platform/kafka';
import type { Api } from '#runtime/api.ts';
import type { EventService } from '../api/event-service.ts';
import { readSecret } from '../database-pools.ts';
import { userIn } from './connection.ts';
import { KafkaProblem } from './problem.ts';

/** The Secret with the username and the password of a service that has a user of its own. */
export const userSecretName = (service: string): string => `${service}-kafka`;

/** Whether a service has a user of its own. */
export const hasOwnUser = ({ spec }: Pick<EventService, 'spec'>): boolean => spec.kafka?.external?.acls === true;

/**
 * The user of a service.
 * @param others the other services of the namespace
 * @throws KafkaProblem where its Secret is missing, or its user is another service's or the operator's
 */
export async function ownUserOf(
  api: Api,
  { metadata: { namespace = '', name } }: EventService,
  others: readonly EventService[],
  operatorUser: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const secret = userSecretName(name);
  const { username } = await userIn(api, namespace, secret, 'NoKafkaUser', signal);
  const taken = (whose: string) =>
    new KafkaProblem(
      'UserTaken',
      `the Secret ${secret} has the user ${username}, who is ${whose}: give ${name} a user of its own`,
    );
  if (username === operatorUser) throw taken("the operator's");
  for (const other of others.filter(hasOwnUser)) {
    const found = await readSecret(api, namespace, userSecretName(other.metadata.name), signal);
    if (found?.['username'] === username) throw taken(`that of ${other.metadata.name}, too`);
  }
  return username;
}

/** Gives the user of a service exactly these rights. @throws the error of Kafka */
export async function keepRights(
  manager: Pick<KafkaManager, 'keepAcls'>,
  user: string,
  rights: readonly { resource: Acl['resource']; operations: readonly Acl['operation'][] }[],
): Promise<void> {
  const acls = rights.flatMap(({ resource, operations }) => operations.map((operation) => ({ resource, operation })));
  await manager.keepAcls(user, acls);
}
