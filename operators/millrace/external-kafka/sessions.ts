import { createKafkaManager } from '#platform/kafka';
import type { KafkaManager } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import { hash } from '#runtime/compare.ts';
import { ApiError } from '#runtime/errors.ts';
import type { ControllerContext } from '../controller-context.ts';
import { KafkaClients } from '../kafka-clients.ts';
import { manager as managerName } from '../labels.ts';
import { SilentServers } from '../silent-servers.ts';
import { boundedManager } from './bounded-manager.ts';
import type { BoundedManager } from './bounded-manager.ts';
import { connectionTo } from './connection.ts';
import type { ExternalKafkaSpec } from './connection.ts';
import { problemOf } from './problem.ts';

/** A Kafka, and as whom the operator connects; undefined where clients say nothing of themselves. */
interface Session {
  manager: BoundedManager;
  user: string | undefined;
}

/** What the operator does with Kafkas that are not Strimzi's. */
export class KafkaSessions {
  readonly #api: ControllerContext['api'];
  readonly #managers: KafkaClients<KafkaManager>;
  readonly #silent: SilentServers;

  constructor({ api, clock }: Pick<ControllerContext, 'api' | 'clock'>, log: Logger) {
    this.#api = api;
    this.#silent = new SilentServers(clock);
    this.#managers = new KafkaClients(
      (connection) => createKafkaManager({ ...connection, clientId: managerName, log }),
      { clock, log },
    );
  }

  /** @throws KafkaProblem where a Secret is missing */
  async connect(namespace: string, external: ExternalKafkaSpec, signal: AbortSignal): Promise<Session> {
    const connection = await connectionTo(this.#api, namespace, external, signal);
    const manager = this.#managers.get(`${namespace} ${hash(external)}`, connection);
    const address = connection.brokers.join();
    const bounded = boundedManager(manager, { address, silent: this.#silent, signal });
    return { manager: bounded, user: connection.sasl?.username };
  }

  /** Does something with a Kafka. @throws KafkaProblem where Kafka does not do it */
  async attempt(
    session: Session,
    what: string,
    signal: AbortSignal,
    work: (session: Session) => Promise<void>,
  ): Promise<void> {
    try {
      await work(session);
    } catch (error) {
      if (signal.aborted || error instanceof ApiError) throw error;
      throw problemOf(error, what, session.user);
    }
  }

  async close(): Promise<void> {
    await this.#managers.close();
  }
}
