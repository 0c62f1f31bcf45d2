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

/** The users who were given rights of a service, as its status says. */
export const usersIn = ({ status }: Pick<EventService, 'status'>): string[] => status?.kafkaUsers ?? [];

/** Whose a user is, other than a service's. */
export interface OtherUsers {
  /** who connects for the operator; undefined where clients say nothing of themselves */
  operator: string | undefined;
  /** the other services of the namespace */
  services: readonly EventService[];
}

/**
 * The user of a service.
 * @throws KafkaProblem where its Secret is missing, or its user is another service's or the operator's
 */
export async function ownUserOf(
  api: Api,
  { metadata: { namespace = '', name } }: EventService,
  others: OtherUsers,
  signal: AbortSignal,
): Promise<string> {
  const secret = userSecretName(name);
  const { username } = await userIn(api, namespace, secret, 'NoKafkaUser', signal);
  const owner = await otherOwnerOf(api, username, others, signal);
  if (owner === undefined) return username;
  throw new KafkaProblem(
    'UserTaken',
    `the Secret ${secret} has the user ${username}, who is ${owner}: give ${name} a user of its own`,
  );
}

/** The user that the Secret of a service names now. @returns undefined where it names none */
export async function presentUserOf(
  api: Api,
  { metadata: { namespace = '', name } }: EventService,
  signal: AbortSignal,
): Promise<string | undefined> {
  return (await readSecret(api, namespace, userSecretName(name), signal))?.['username'] || undefined;
}

/** Who else has a user, as a sentence says it. @returns undefined where nobody has */
export async function otherOwnerOf(
  api: Api,
  username: string,
  { operator, services }: OtherUsers,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (username === operator) return "the operator's";
  for (const service of services.filter(hasOwnUser)) {
    if ((await presentUserOf(api, service, signal)) === username) return `that of ${service.metadata.name}, too`;
  }
  return undefined;
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
