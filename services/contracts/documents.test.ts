import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildAsyncApi, buildOpenApi, currentRelease, releaseBreaks } from '#platform/contract';
import { contracts } from './index.ts';

/** Every `$ref` of a document with its target; undefined if there is no target. */
function references(document: unknown): [string, unknown][] {
  const found: [string, unknown][] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const reference = (value as { $ref?: unknown }).$ref;
    if (typeof reference === 'string') {
      const path = reference.slice(2).split('/');
      found.push([
        reference,
        path.reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], document),
      ]);
    }
    Object.values(value).forEach(visit);
  };
  visit(document);
  return found;
}

test('the OpenAPI document has every operation, below the prefix, and no dangling reference', () => {
  const document = buildOpenApi(contracts, { version: '1.2.3', prefix: '/api' }) as unknown as {
    paths: Record<string, Record<string, { operationId: string; parameters?: { name: string; in: string }[] }>>;
  };
  for (const operation of contracts.operations) {
    const documented = document.paths[`/api${operation.path}`]?.[operation.method];
    assert.equal(documented?.operationId, operation.id);
    const inPath = [...operation.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const declared = (documented.parameters ?? []).filter((parameter) => parameter.in === 'path');
    assert.deepEqual(declared.map((parameter) => parameter.name).toSorted(), inPath.toSorted(), operation.id);
  }
  const found = references(document);
  assert.ok(found.length > contracts.operations.length);
  for (const [reference, target] of found) assert.ok(target, reference);
});

test('documents a 503 response with its own body beside the problem', () => {
  const { paths } = buildOpenApi(contracts, { version: '1' }) as unknown as {
    paths: Record<string, { get: { responses: Record<string, { content: object }> } }>;
  };
  const { content } = paths['/analytics/health']!.get.responses['503']!;
  assert.deepEqual(Object.keys(content), ['application/json', 'application/problem+json']);
});

test('documents 504 for the operations that change something', () => {
  const { paths } = buildOpenApi(contracts, { version: '1' }) as unknown as {
    paths: Record<string, Record<string, { responses: Record<string, unknown> }>>;
  };
  for (const { method, path, id } of contracts.operations) {
    assert.equal('504' in paths[path]![method]!.responses, method !== 'get', id);
  }
});

test('the contract fits itself', () => {
  assert.deepEqual(releaseBreaks(currentRelease(contracts, '1.0.0'), currentRelease(contracts, '1.1.0')), []);
});

test('the documents are plain JSON: no marks of the schema library, no functions', () => {
  const text = JSON.stringify([
    buildOpenApi(contracts, { version: '1' }),
    buildAsyncApi(contracts, { version: '1', topics: ['order-events'] }),
  ]);
  assert.doesNotMatch(text, /"~|x-format/);
});

test('the AsyncAPI document has the channels that are declared and their messages', () => {
  const sent = [...new Set(Object.values(contracts.events).flatMap(({ topics }) => topics))];
  const topics = [...sent, 'orders-projection.dead-letters'];
  const document = buildAsyncApi(contracts, { version: '1.2.3', topics }) as unknown as {
    channels: Record<string, { messages: object }>;
    components: { messages: Record<string, { name: string }> };
  };
  assert.deepEqual(Object.keys(document.channels), sent);
  const { messages } = document.components;
  for (const topic of sent) {
    const types = Object.keys(contracts.events).filter((type) => contracts.events[type]!.topics.includes(topic));
    const names = Object.keys(document.channels[topic]!.messages).map((key) => messages[key]?.name);
    assert.deepEqual(names, types);
  }
  assert.deepEqual(
    Object.values(messages).map((message) => message.name),
    Object.keys(contracts.events),
  );
  for (const [reference, target] of references(document)) assert.ok(target, reference);
});
