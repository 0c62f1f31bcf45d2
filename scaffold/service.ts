import { join } from 'node:path';

import { Fault } from '#local/fault.ts';
import { PORTS } from '#local/plan.ts';
import { eventServices } from '#platform/declarations';
import type { EventService } from '#platform/declarations';

import { Changes } from './changes.ts';
import { assertName, serviceNames } from './names.ts';
import { fillTemplates } from './template.ts';
import { appendTo } from './yaml.ts';

/** The request for a new service. */
export interface ServiceRequest {
  name: string;
  /** the topic of its events */
  topic: string;
  /** the topics that it consumes */
  consumes: readonly string[];
}

/** The names in contracts that must be unique. */
export interface ContractNames {
  schemas: Readonly<Record<string, unknown>>;
  events: Readonly<Record<string, unknown>>;
}

const templates = join(import.meta.dirname, 'templates/service');
const firstPort = 8081;
/** The ports of Kafka UI and of the operator, which Tilt forwards to this machine. */
const portsOfTilt = [8088, 8090];

/** The folder of the declarations. */
export const declarationsOf = (root: string): string => join(root, 'charts/millrace/files');

/**
 * Makes all files of a new service.
 * @returns undefined if exactly this service exists
 * @throws Fault if it cannot be made
 */
export function newService(root: string, asked: ServiceRequest, contracts: ContractNames): Changes | undefined {
  const request = { ...asked, consumes: [...new Set(asked.consumes)] };
  const { name, topic, consumes } = request;
  const services = eventServices(declarationsOf(root));
  const same = services.find(({ metadata }) => metadata.name === name);
  if (same) {
    if (isAsAsked(same, request)) return undefined;
    throw new Fault(`The name ${name} is taken: charts/millrace/files/services/${name}.yaml declares another service.`);
  }
  const names = serviceNames(name);
  assertName(topic, 'topic');
  assertFree(request, names, services, contracts);

  const values = { ...names, topic, consumes: consumes.join(', '), port: String(freeServicePort(services)) };
  const changes = new Changes(root);
  for (const [path, text] of fillTemplates(templates, values, new Set(consumes.length > 0 ? ['consumes'] : [])))
    changes.create(path, text);
  changes.edit('services/contracts/index.ts', (text) => collect(text, names.camel, name));
  changes.edit('charts/millrace/files/services/gateway.yaml', (text) => appendTo(text, ['spec', 'calls'], name));
  readByQueries(changes, services, topic);
  return changes;
}

function isAsAsked({ spec }: EventService, { topic, consumes }: ServiceRequest): boolean {
  const read = (spec.consumes ?? []).flatMap(({ topics }) => topics);
  return Boolean(spec.produces?.some((produced) => produced.topic === topic)) && String(read) === String(consumes);
}

function assertFree(
  { topic, consumes }: ServiceRequest,
  { Entity, entity, Pascal }: ReturnType<typeof serviceNames>,
  services: readonly EventService[],
  contracts: ContractNames,
): void {
  const producers = new Map(
    services.flatMap(({ metadata, spec }) =>
      (spec.produces ?? []).map((produced) => [produced.topic, metadata.name] as const),
    ),
  );
  const producer = producers.get(topic);
  if (producer !== undefined) throw new Fault(`The topic ${topic} is taken: ${producer} sends its events there.`);
  const known = [...producers.keys(), topic];
  for (const consumed of consumes)
    if (!known.includes(consumed))
      throw new Fault(`No service declares the topic ${consumed}. There are ${known.toSorted().join(', ')}.`);
  const schema = [Entity, `${Entity}Input`, `${Pascal}LatestEvent`].find((one) =>
    Object.hasOwn(contracts.schemas, one),
  );
  if (schema !== undefined) throw new Fault(`Another contract has a schema ${schema}: choose another name.`);
  if (Object.hasOwn(contracts.events, `${entity}.created`))
    throw new Fault(`Another contract has an event ${entity}.created: choose another name.`);
}

function freeServicePort(services: readonly EventService[]): number {
  const taken = new Set([...services.map(({ spec }) => spec.port), ...Object.values(PORTS), ...portsOfTilt]);
  let port = firstPort;
  while (taken.has(port)) port += 1;
  return port;
}

/** Adds a contract to the registry, services/contracts/index.ts. */
function collect(text: string, constant: string, file: string): string {
  const edits: [RegExp, string][] = [
    [/(?<=\n)(?!import)/, `import { ${constant} } from './${file}.ts';\n`],
    [/(?<=collectContracts\([^;]*\[[^\]]*?),?\s*\](?=,?\s*\);)/, `, ${constant}]`],
    [/(?<=export type EventData = [^;]*);/, ` & EventDataOf<typeof ${constant}>;`],
  ];
  const collected = edits.reduce((changed, [position, insertion]) => {
    if (!position.test(changed)) throw new Fault(`services/contracts/index.ts has no known position for ${constant}.`);
    return changed.replace(position, insertion);
  }, text);
  return collected.replace(/(?:import \{ \w+ \} from '\.\/[^\n]*\n)+/, (imports) =>
    imports
      .split(/(?<=\n)/)
      .toSorted()
      .join(''),
  );
}

/** Adds a topic to those that the service with the stream queries consumes. */
export function readByQueries(changes: Changes, services: readonly EventService[], topic: string): void {
  const runner = services.find(({ spec }) => spec.streamQueries);
  if (!runner) return;
  const path = `charts/millrace/files/services/${runner.metadata.name}.yaml`;
  changes.edit(path, (text) => appendTo(text, ['spec', 'consumes', 0, 'topics'], topic));
}
