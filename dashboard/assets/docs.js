import { getJson } from './api.js';
import { byId, el, note, prose, table } from './dom.js';
import { limitsOf, nameOf, resolve, typeOf } from './schema.js';
import { themeButton } from './theme.js';
import { tryIt } from './try-it.js';

/** @typedef {Record<string, any>} Json */

themeButton(byId('theme'));
const main = byId('main');

try {
  const [api, events] = await Promise.all([getJson('/openapi.json'), getJson('/asyncapi.json')]);
  show(api, events);
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
} catch (error) {
  main.replaceChildren(note('The document cannot be shown', /** @type {Error} */ (error).message));
}

/**
 * @param {Json} api the OpenAPI document
 * @param {Json} events the AsyncAPI document
 */
function show(api, events) {
  const named = api['components'].schemas;
  const operations = Object.entries(api['paths']).flatMap(([path, methods]) =>
    Object.entries(/** @type {Json} */ (methods)).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      operation,
    })),
  );
  const groups = api['tags'].map((/** @type {{name: string}} */ { name }) => ({
    name,
    operations: operations.filter(({ operation }) => operation.tags.includes(name)),
  }));
  byId('contents').replaceChildren(
    ...groups.flatMap((/** @type {any} */ group) => [
      el('h2', {}, group.name),
      el(
        'ul',
        {},
        ...group.operations.map((/** @type {any} */ { method, operation }) =>
          link(operation.operationId, method, operation.summary),
        ),
      ),
    ]),
    el('h2', {}, 'events'),
    el('ul', {}, ...Object.keys(events['channels']).map((name) => link(`topic-${name}`, undefined, name))),
    el('h2', {}, 'schemas'),
    el('ul', {}, ...Object.keys(named).map((name) => link(`schema-${name}`, undefined, name))),
  );
  main.replaceChildren(
    el('p', { class: 'hint' }, `${api['info'].description} Version ${api['info'].version}, OpenAPI ${api['openapi']}.`),
    ...groups.flatMap((/** @type {any} */ group) => [
      el('h2', { class: 'group' }, group.name),
      ...group.operations.map((/** @type {any} */ each) => operationCard(each, named)),
    ]),
    el('h2', { class: 'group' }, 'events'),
    ...Object.entries(events['channels']).map(([name, channel]) =>
      topicCard(name, channel, events['components'].messages),
    ),
    el('h2', { class: 'group' }, 'schemas'),
    ...Object.entries(named).map(([name, schema]) =>
      el('article', { class: 'card', id: `schema-${name}` }, el('h3', {}, name), fields(schema, named)),
    ),
  );
}

/**
 * @param {string} id
 * @param {string | undefined} method
 * @param {string} text
 */
function link(id, method, text) {
  return el('li', {}, el('a', { href: `#${id}` }, method ? methodBadge(method) : undefined, prose(text)));
}

/** @param {string} method */
function methodBadge(method) {
  return el('span', { class: 'method', 'data-method': method }, method);
}

/**
 * @param {{path: string, method: string, operation: Json}} operation
 * @param {Json} named
 */
function operationCard({ path, method, operation }, named) {
  const parameters = operation['parameters'] ?? [];
  const body = operation['requestBody']?.content['application/json']?.schema;
  return el(
    'article',
    { class: 'card', id: operation['operationId'] },
    el('h3', {}, methodBadge(method), el('code', {}, path)),
    el('p', {}, prose(operation['summary'])),
    ...(parameters.length > 0
      ? [el('h4', {}, 'Parameters'), scrolling('Parameters', parametersTable(parameters))]
      : []),
    ...(body ? [el('h4', {}, 'Body'), fields(body, named)] : []),
    el('h4', {}, 'Answers'),
    scrolling('Answers', answersTable(operation['responses'])),
    el('details', {}, el('summary', {}, 'Try it'), tryIt(method, path, operation, named)),
  );
}

/** @param {Json[]} parameters */
function parametersTable(parameters) {
  return table(
    'Parameters',
    [{ title: 'Name' }, { title: 'In' }, { title: 'Type' }, { title: 'About' }],
    parameters.map(({ name, in: where, schema, required, description }) => [
      el('code', {}, required ? name : `${name}?`),
      where,
      typeOf(schema),
      prose([description, limitsOf(schema)].filter(Boolean).join('; ')),
    ]),
  );
}

/** @param {Json} responses */
function answersTable(responses) {
  return table(
    'Answers',
    [{ title: 'Status' }, { title: 'What' }, { title: 'Body' }],
    Object.entries(responses).map(([status, { description, content, headers }]) => {
      const [type, of] = Object.entries(content ?? {})[0] ?? [];
      const sent = Object.keys(headers ?? {});
      return [
        el('code', {}, status),
        prose(sent.length > 0 ? `${description} (${sent.join(', ')})` : description),
        type === undefined ? '–' : type === 'application/json' ? schemaLink(/** @type {any} */ (of).schema) : type,
      ];
    }),
  );
}

/** @param {Json} schema */
function schemaLink(schema) {
  const name = nameOf(schema) ?? (schema['items'] && nameOf(schema['items']));
  return name ? el('a', { href: `#schema-${name}` }, typeOf(schema)) : typeOf(schema);
}

/**
 * The fields of an object, those of objects within it indented.
 *
 * @param {Json} schema
 * @param {Json} named
 * @returns {Node}
 */
function fields(schema, named) {
  const plain = resolve(schema, named);
  const within = plain['type'] === 'array' ? resolve(plain['items'] ?? {}, named) : plain;
  if (!within['properties']) return el('p', {}, el('code', {}, typeOf(plain)));
  const rows = rowsOf(within, '');
  return scrolling('Fields', table('Fields', [{ title: 'Field' }, { title: 'Type' }, { title: 'About' }], rows));
}

/**
 * @param {Json} schema
 * @param {string} prefix
 * @returns {(Node | string)[][]}
 */
function rowsOf(schema, prefix) {
  const required = new Set(schema['required'] ?? []);
  return Object.entries(schema['properties']).flatMap(([name, field]) => {
    const inner = field.type === 'array' ? (field.items ?? {}) : field;
    const path = `${prefix}${name}`;
    const row = [
      el('code', {}, required.has(name) ? path : `${path}?`),
      schemaLink(field),
      prose([field.description, limitsOf(field)].filter(Boolean).join('; ')),
    ];
    return inner.properties ? [row, ...rowsOf(inner, `${path}${field.type === 'array' ? '[]' : ''}.`)] : [row];
  });
}

/**
 * @param {string} name
 * @param {Json} channel
 * @param {Json} messages
 */
function topicCard(name, channel, messages) {
  return el(
    'article',
    { class: 'card', id: `topic-${name}` },
    el('h3', {}, el('span', { class: 'method' }, 'topic'), el('code', {}, name)),
    ...Object.keys(channel['messages']).flatMap((key) => [
      el('h4', {}, el('code', {}, messages[key].name)),
      el('p', { class: 'hint' }, messages[key].summary),
      fields(messages[key].payload, {}),
    ]),
  );
}

/**
 * @param {string} label
 * @param {Node} content
 */
function scrolling(label, content) {
  return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label }, content);
}
