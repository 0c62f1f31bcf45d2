import type { EventService } from '#platform/declarations';
import type { KafkaConnection } from '#platform/kafka';

/** What the load, the probe and the comparison need of a running platform, wherever it runs. */
export interface Observed {
  services: EventService[];
  /** Of a service, past every fault of the wires. */
  url(service: string): string;
  /** The superuser's connection string, past the faults. */
  postgres: string;
  /** Past the faults. */
  kafka: KafkaConnection;
  /** The mails that the mail server took. */
  mails: readonly { messageId: string }[];
  /** The topics that a fault has deleted and created again. */
  recreated: Set<string>;
  /** Whether nothing runs of a service, as far as it is known. */
  isDown(service: string): boolean;
}
