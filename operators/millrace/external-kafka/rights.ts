import { errorCodeOf } from '#platform/kafka';
import { keyOf } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import type { ControllerContext } from '../controller-context.ts';
import { aclsOf, usesKafka } from '../event-service/kafka-user.ts';
import type { Rights } from '../event-service/kafka-user.ts';
import { byNamespace } from '../informers.ts';
import type { BoundedManager } from './bounded-manager.ts';
import type { ExternalKafkaSpec } from './connection.ts';
import type { Findings } from './findings.ts';
import { fine } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import type { KafkaSessions } from './sessions.ts';
import { hasOwnUser, keepRights, otherOwnerOf, ownUserOf, presentUserOf, usersIn } from './users.ts';
import type { OtherUsers } from './users.ts';

/** How many users the status of a service names: those who were given rights last. */
const maxUsers = 100;

const noKafka: Outcome = { status: 'True', reason: 'NoKafka', message: '' };
const shared: Outcome = { status: 'True', reason: 'Shared', message: '' };

/** Keeps the rights of the users of services in Kafkas that are not Strimzi's. */
export class ExternalRights {
  readonly #context: Pick<ControllerContext, 'api' | 'eventServices'>;
  readonly #sessions: KafkaSessions;
  readonly #findings: Findings;
  /** the users who were given rights of each service: its status says so later */
  readonly #given = new Map<string, Set<string>>();

  constructor(context: Pick<ControllerContext, 'api' | 'eventServices'>, sessions: KafkaSessions, findings: Findings) {
    this.#context = context;
    this.#sessions = sessions;
    this.#findings = findings;
  }

  /**
   * Gives the user of a service exactly its rights: none where the service uses Kafka no more. A former user keeps those that it has
   * while the service is there, as pods may connect as that one for long.
   * @param emitted the topics that its stream queries emit to
   */
  async keep(
    service: EventService,
    external: ExternalKafkaSpec,
    emitted: readonly string[],
    signal: AbortSignal,
  ): Promise<Outcome> {
    const uses = usesKafka(service);
    if (!hasOwnUser(service)) return uses ? shared : noKafka;
    if (!uses && this.users(service).length === 0) return noKafka;
    const rights = uses ? aclsOf(service, emitted) : [];
    return await this.#findings.remember(`user ${keyOf(service)}`, [external, rights], async () => {
      if (uses) await this.#give(service, external, rights, signal);
      else await this.#empty(service, external, signal);
      return { outcome: uses ? fine : noKafka };
    });
  }

  /** The users who were given rights of a service, the last one last. */
  users(service: EventService): string[] {
    const given = this.#given.get(keyOf(service)) ?? new Set();
    return [...usersIn(service).filter((user) => !given.has(user)), ...given].slice(-maxUsers);
  }

  /** Takes all rights from the users of a service who were given some, or may have been. @throws KafkaProblem */
  async revoke(service: EventService, external: ExternalKafkaSpec, signal: AbortSignal): Promise<void> {
    const present = hasOwnUser(service) ? await presentUserOf(this.#context.api, service, signal) : undefined;
    const users = new Set([...this.users(service), ...(present === undefined ? [] : [present])]);
    if (users.size === 0) return;
    await this.#withUsers(service, external, signal, async (manager, others) => {
      for (const user of users) await this.#take(manager, user, others, signal);
    });
    this.#given.delete(keyOf(service));
  }

  /** Forgets a service that is gone. @param key its namespace and name */
  forget(key: string): void {
    this.#given.delete(key);
    this.#findings.forget(`user ${key}`);
  }

  async #give(
    service: EventService,
    external: ExternalKafkaSpec,
    rights: readonly Rights[],
    signal: AbortSignal,
  ): Promise<void> {
    await this.#withUsers(service, external, signal, async (manager, others) => {
      const user = await ownUserOf(this.#context.api, service, others, signal);
      await keepRights(manager, user, rights);
      // not before: a user whom Kafka has given nothing may be somebody else's
      const given = this.#given.get(keyOf(service)) ?? new Set();
      this.#given.set(keyOf(service), given.add(user));
    });
  }

  /** Takes the rights of the present user of a service that uses Kafka no more. */
  async #empty(service: EventService, external: ExternalKafkaSpec, signal: AbortSignal): Promise<void> {
    const present = await presentUserOf(this.#context.api, service, signal);
    if (present === undefined || !this.users(service).includes(present)) return;
    await this.#withUsers(service, external, signal, (manager, others) => this.#take(manager, present, others, signal));
  }

  /** Takes all rights from a user, unless it is somebody else's by now. */
  async #take(manager: BoundedManager, user: string, others: OtherUsers, signal: AbortSignal): Promise<void> {
    if ((await otherOwnerOf(this.#context.api, user, others, signal)) !== undefined) return;
    try {
      await keepRights(manager, user, []);
    } catch (error) {
      // a Kafka without ACLs has none to take
      if (errorCodeOf(error) !== 'SECURITY_DISABLED') throw error;
    }
  }

  /** Does something with the users of a Kafka. @throws KafkaProblem where Kafka does not do it */
  async #withUsers(
    service: EventService,
    external: ExternalKafkaSpec,
    signal: AbortSignal,
    work: (manager: BoundedManager, others: OtherUsers) => Promise<void>,
  ): Promise<void> {
    const { namespace = '', name } = service.metadata;
    const all = this.#context.eventServices.store.by(byNamespace, namespace);
    const services = all.filter(({ metadata }) => metadata.name !== name);
    const session = await this.#sessions.connect(namespace, external, signal);
    await this.#sessions.attempt(session, `keep the ACLs of ${name}`, signal, ({ manager, user: operator }) =>
      work(manager, { operator, services }),
    );
  }
}
