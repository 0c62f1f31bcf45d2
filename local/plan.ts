import { join } from 'node:path';

import { addressVariable } from '#platform/config';
import { eventServices } from '#platform/declarations';
import type { EventService } from '#platform/declarations';
import type { KafkaConnection } from '#platform/kafka';

import { databaseUrl } from './databases.ts';

/** Ports of the parts that are not declared services, before the offset. */
export const PORTS = { postgres: 15_432, kafka: 19_092, kafkaController: 19_093, smtp: 1025, mail: 8025 };

/** The default port of debuggers; if it is taken, the next ports are tried. */
export const INSPECT_PORT = 9_229;

/** Those ports, moved by the offset. */
export function portsWith(offset: number): typeof PORTS {
  return Object.fromEntries(Object.entries(PORTS).map(([name, port]) => [name, port + offset])) as typeof PORTS;
}

/**
 * The address of a service in the local run.
 * @throws if no service has that name
 */
export function serviceUrl(name: string, portOffset: number, services = eventServices()): string {
  const service = services.find(({ metadata }) => metadata.name === name);
  if (!service) throw new Error(`no service ${name} is declared`);
  return `http://127.0.0.1:${service.spec.port + portOffset}`;
}

/**
 * Puts services into groups, each of which calls only services of the groups before it.
 * @throws if services call each other in a cycle, or call a service that is not declared
 */
export function startOrder(services: EventService[]): EventService[][] {
  const groups: EventService[][] = [];
  const placed = new Set<string>();
  let waiting = services;
  while (waiting.length > 0) {
    const group = waiting.filter(({ spec }) => (spec.calls ?? []).every((name) => placed.has(name)));
    if (group.length === 0) {
      const names = waiting.map(({ metadata }) => metadata.name).join(', ');
      throw new Error(
        `${names} cannot be started: they call each other in a cycle, or call a service that is not declared.`,
      );
    }
    groups.push(group);
    for (const { metadata } of group) placed.add(metadata.name);
    waiting = waiting.filter(({ metadata }) => !placed.has(metadata.name));
  }
  return groups;
}

/** The environment of a service in the local run. */
export function serviceEnvironment(
  service: EventService,
  context: { all: EventService[]; portOffset: number; kafka: KafkaConnection; superuserUrl: string; cache: string },
): Record<string, string> {
  const { all, portOffset, kafka, superuserUrl, cache } = context;
  const ports = portsWith(portOffset);
  const env: Record<string, string> = {
    PORT: String(service.spec.port + portOffset),
    HOST: '127.0.0.1',
    // all of them: a setting for another Kafka must not reach our own
    KAFKA_BROKERS: kafka.brokers.join(','),
    KAFKA_SASL_MECHANISM: kafka.sasl?.mechanism ?? '',
    KAFKA_SASL_USERNAME: kafka.sasl?.username ?? '',
    KAFKA_SASL_PASSWORD: kafka.sasl?.password ?? '',
    KAFKA_SSL: kafka.tls ? 'true' : '',
    KAFKA_SSL_CA: kafka.tls?.ca ?? '',
    SMTP_URL: `smtp://127.0.0.1:${ports.smtp}`,
    MAIL_PAGE_URL: `http://localhost:${ports.mail}/`,
    SHUTDOWN_GRACE_MS: '8000',
    NODE_COMPILE_CACHE: join(cache, 'compile-cache'),
    MALLOC_ARENA_MAX: '2', // with an arena for each thread, the free space of buffers adds up to 40 MB
  };
  for (const { metadata } of all) env[addressVariable(metadata.name)] = serviceUrl(metadata.name, portOffset, all);
  for (const { name } of service.spec.databases ?? [])
    env[databaseVariable(service, name)] = databaseUrl(superuserUrl, name);
  return env;
}

/** `DATABASE_URL` for the database that has the service's name, `READ_DATABASE_URL` for `<service>-read`. */
function databaseVariable(service: EventService, database: string): string {
  const suffix = database.slice(service.metadata.name.length + 1);
  return suffix === '' ? 'DATABASE_URL' : `${suffix.toUpperCase().replaceAll('-', '_')}_DATABASE_URL`;
}
