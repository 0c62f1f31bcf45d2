import { PlatformError } from '#platform/errors';

import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { EventServiceSpec } from '#platform/declaration-schema';
import { deadLetterTopic } from './groups.ts';

/** The declaration of a service: what it produces, consumes, calls and stores. */
export interface EventService {
  kind: 'EventService';
  metadata: { name: string };
  spec: EventServiceSpec;
}

export interface Topic {
  name: string;
  partitions: number;
  /** milliseconds; -1 keeps everything */
  retentionMs: number;
}

/** The folder of the declarations: it belongs to the chart, so that the cluster and the local run read the same files. */
export const declarationsDir =
  process.env['MILLRACE_DECLARATIONS'] ?? fileURLToPath(new URL('../../charts/millrace/files', import.meta.url));

function readDir(dir: string): { file: string; text: string }[] {
  return readdirSync(dir)
    .filter((file) => file.endsWith('.yaml'))
    .toSorted()
    .map((file) => ({ file: join(dir, file), text: readFileSync(join(dir, file), 'utf8') }));
}

/** The declared services, by name. */
export function eventServices(dir = declarationsDir): EventService[] {
  return readDir(join(dir, 'services')).map(({ text }) => parse(text) as EventService);
}

/** The files of the stream queries, as text: their parser reports mistakes with their line. */
export function streamQueryFiles(dir = declarationsDir): { file: string; text: string }[] {
  return readDir(join(dir, 'queries'));
}

/** The settings that the services need on every broker, by Kafka's names. */
export function brokerSettings(dir = declarationsDir): Record<string, string> {
  const settings = parse(readFileSync(join(dir, 'kafka.yaml'), 'utf8')) as Record<string, unknown>;
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value)]));
}

/** Node's flags for a service. */
export function nodeFlags(service: string, dir = declarationsDir): string[] {
  const { all, services } = parse(readFileSync(join(dir, 'node.yaml'), 'utf8')) as {
    all: string[];
    services: Record<string, string[]>;
  };
  return [...all, ...(services[service] ?? [])];
}

/** The names of the services that consume events. */
export function consumers(dir = declarationsDir): string[] {
  return eventServices(dir).flatMap(({ metadata, spec }) => (spec.consumes?.length ? metadata.name : []));
}

/** The consumer group of a service, and its topics. @throws if its declaration has none */
export function consumptionOf(service: string): { group: string; topics: string[] } {
  const [consumption] = eventServices().find(({ metadata }) => metadata.name === service)?.spec.consumes ?? [];
  if (!consumption)
    throw new PlatformError('ERR_DECLARATION_CONSUMES_NOTHING', `the declaration of ${service} consumes nothing`);
  return consumption;
}

const units: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** What `parseDuration` reads, for schemas. */
export const durationPattern = `^[0-9]+(${Object.keys(units).join('|')})$`;
const duration = new RegExp(durationPattern);

/** Parses a duration such as `500ms`, `30s`, `5m`, `1h` or `7d` into milliseconds. @throws if it is not one */
export function parseDuration(text: string | number): number {
  if (typeof text === 'number') return text;
  const match = duration.exec(text);
  if (!match)
    throw new PlatformError(
      'ERR_DECLARATION_DURATION',
      `'${text}' is not a duration: a whole number with ms, s, m, h or d`,
    );
  return Number.parseInt(text, 10) * units[match[1] as string]!;
}

/** All topics that the services declare, with dead-letter topics. */
export function topics(
  services: readonly { spec: Pick<EventService['spec'], 'produces' | 'consumes'> }[] = eventServices(),
): Topic[] {
  const produced = services.flatMap((service) => service.spec.produces ?? []);
  const groups = services.flatMap((service) => service.spec.consumes ?? []);
  return [
    ...produced.map((topic) => ({
      name: topic.topic,
      partitions: topic.partitions,
      retentionMs: parseDuration(topic.retention),
    })),
    ...groups.map(({ group }) => ({ name: deadLetterTopic(group), partitions: 1, retentionMs: -1 })),
  ];
}
