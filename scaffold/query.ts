import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Fault } from '#local/fault.ts';
import { eventServices } from '#platform/declarations';

import { Changes } from './changes.ts';
import { assertName } from './names.ts';
import { declarationsOf, readByQueries } from './service.ts';
import { fillTemplates } from './template.ts';

const templates = join(import.meta.dirname, 'templates/query');

/**
 * A first stream query, which counts the events of a topic.
 * @param asked the topic; by default the first topic to which a service sends events
 * @returns undefined if the query exists
 * @throws Fault if it cannot be made
 */
export function newQuery(root: string, name: string, asked: string | undefined): Changes | undefined {
  assertName(name, 'stream query');
  const services = eventServices(declarationsOf(root));
  const topicsOf = (some: typeof services) =>
    some.flatMap(({ spec }) => (spec.produces ?? []).map(({ topic }) => topic));
  const known = topicsOf(services);
  const topic = asked ?? topicsOf(services.filter(({ spec }) => !spec.streamQueries))[0];
  if (topic === undefined) throw new Fault('No service sends events to a topic yet: npm run new -- service NAME');
  if (!known.includes(topic))
    throw new Fault(`No service declares the topic ${topic}. There are ${known.toSorted().join(', ')}.`);
  const [[path, text] = ['', '']] = fillTemplates(templates, { name, topic });
  const file = join(root, path);
  if (existsSync(file)) {
    if (asked === undefined || readFileSync(file, 'utf8').includes(`topic: ${topic}`)) return undefined;
    throw new Fault(`The name ${name} is taken: ${path} is a query of another topic.`);
  }
  const changes = new Changes(root);
  changes.create(path, text);
  readByQueries(changes, services, topic);
  return changes;
}
