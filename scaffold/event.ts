import { Fault } from '#local/fault.ts';
import { eventServices } from '#platform/declarations';

import { Changes } from './changes.ts';
import { assertName, camel, pascal } from './names.ts';
import { declarationsOf } from './service.ts';
import type { ContractNames } from './service.ts';

/**
 * An event type in the contract of a service.
 * @returns undefined if the service already has it
 * @throws Fault if it cannot be made
 */
export function newEvent(
  root: string,
  service: string,
  type: string,
  contracts: readonly (Pick<ContractNames, 'events'> & { name: string })[],
): Changes | undefined {
  const [entity = '', happened = '', ...rest] = type.split('.');
  if (happened === '' || rest.length > 0)
    throw new Fault(
      `"${type}" is not a valid event type. It must be like order.returned: the entity, and what happened to it.`,
    );
  assertName(entity, 'kind of aggregate');
  assertName(happened, 'change');
  const contract = contracts.find(({ name }) => name === service);
  if (!contract)
    throw new Fault(`There is no contract ${service}. There are ${contracts.map(({ name }) => name).join(', ')}.`);
  const owner = contracts.find(({ events }) => Object.hasOwn(events, type));
  if (owner === contract) return undefined;
  if (owner) throw new Fault(`The event type ${type} is taken: it is in the contract of ${owner.name}.`);
  const declared = eventServices(declarationsOf(root)).find(({ metadata }) => metadata.name === service);
  const topic = declared?.spec.produces?.[0]?.topic;
  if (topic === undefined)
    throw new Fault(
      `${service} sends events to no topic: charts/millrace/files/services/${service}.yaml declares them.`,
    );

  const changes = new Changes(root);
  const path = `services/contracts/${service}.ts`;
  changes.edit(path, (text) => {
    const found = withEvent(text, { service, type, entity, topic });
    if (found === undefined)
      throw new Fault(`${path} has its events in a form that is unknown here: add ${type} by hand.`);
    return found;
  });
  return changes;
}

function withEvent(
  text: string,
  { service, type, entity, topic }: { service: string; type: string; entity: string; topic: string },
): string | undefined {
  const name = pascal(type);
  const id = `${camel(entity)}Id`;
  const schema = `const ${name} = Type.Object({ ${id}: Id, time: EventTime });\n\n`;
  const event = `'${type}': { summary: '${type.replaceAll(/[.-]/g, ' ')}', topics: ['${topic}'], schema: ${name} },\n`;
  const definition = /(?:^\/\*\*[^\n]*\*\/\n)?^export const \w+ = defineContract\(/m;
  const opening = new RegExp(`(?<=defineContract\\('${service}', \\{\\n)`);
  if (!definition.test(text) || !opening.test(text)) return undefined;
  const madeElsewhere = /^ {2}events\b(?!: \{\n)/m;
  if (madeElsewhere.test(text.slice(text.search(definition)))) return undefined;
  const events = /(?<=^ {2}events: \{\n(?:(?! {2}\}).*\n)*)(?= {2}\})/m;
  const withType = events.test(text) ? text.replace(events, event) : text.replace(opening, `events: {\n${event}},\n`);
  return withImports(
    withType.replace(definition, (match) => `${schema}${match}`),
    ['EventTime', 'Id'],
  );
}

/** Adds missing imports from the platform's contract folder. */
function withImports(text: string, names: readonly string[]): string {
  return text.replace(/(?<=^import \{)([^}]*)(?=\} from '#platform\/contract';)/m, (imported) => {
    const known = imported
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean);
    return ` ${[...new Set([...known, ...names])].join(', ')} `;
  });
}
