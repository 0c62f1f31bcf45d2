import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import {
  buildAsyncApi,
  buildOpenApi,
  collectContracts,
  consumerOperations,
  currentRelease,
  ifNoneMatch,
  releaseBreaks,
} from '#platform/contract';
import type { Contract, Operation } from '#platform/contract';
import { toDocument } from '#platform/contract/schema-document.ts';
import { Problem } from '#platform/http';
import { bodyValidator, headerValidator, parameterValidator } from '#platform/http/validation.ts';
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

type Schema = Record<string, unknown> & { type?: string; minimum?: number | bigint; maximum?: number | bigint };
interface DocumentedOperation {
  parameters?: { name: string; in: string; schema: Schema }[];
  requestBody?: { content: { 'application/json': { schema: Schema } } };
}

/** The document as a client reads it, with every digit of its integers. */
function documentedOperations(): Map<string, DocumentedOperation & { spec: Operation }> {
  const text = JSON.stringify(buildOpenApi(collectContracts(contracts, documented), { version: '1' }));
  const exact = (_: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^\d+$/.test(context?.source ?? '')
      ? BigInt(context!.source!)
      : value;
  const { paths } = JSON.parse(text, exact) as { paths: Record<string, Record<string, DocumentedOperation>> };
  return new Map(
    documented.flatMap(({ operations }) =>
      Object.values(operations).map((spec) => [spec.id, { ...paths[spec.path]![spec.method]!, spec }] as const),
    ),
  );
}

const documented: readonly Contract[] = [...contracts.contracts, consumerOperations];

/** Other ways to write a whole number: JSON does not have the first, and takes the second for a whole number, too. */
const notJson = /^-?0[0-9]|^-0$|\./;

/** Whether a text is what the document of a parameter describes. */
function fits(schema: Schema, text: string): boolean {
  if (schema.type !== 'integer') return Compile(schema).Check(text);
  const { minimum = -(2n ** 64n), maximum = 2n ** 64n } = schema;
  return /^-?\d+$/.test(text) && BigInt(text) >= minimum && BigInt(text) <= maximum;
}

function accepts(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch (error) {
    assert.ok(error instanceof Problem, String(error));
    return false;
  }
}

const times = [
  '2026-01-01T00:00:00',
  '2026-02-29',
  '2024-02-29',
  '2026-01-01T24:00:00',
  '2026-01-01T00:00:00 02:00',
  '000',
];
const decimals = ['7e-199', '1e3', '-1', '0', '1', '100', '1000', '1001', '12.5', '1.1234567', '-0.5'];
const ids = ['9223372036854775807', '9223372036854775808', '9223372036854776000', '00000000000000000000001'];
const texts = [
  '',
  ' ',
  ' a',
  'a b',
  'a\0b',
  'é',
  '😀'.repeat(51),
  'a'.repeat(501),
  'true',
  'PENDING',
  'OPEN',
  'hourly',
  'info',
];
const samples = [...times, ...decimals, ...ids, ...texts];

test('the document of each parameter describes what the services accept, and nothing else', () => {
  const sample = fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.constantFrom(...samples));
  for (const { spec, parameters = [] } of documentedOperations().values()) {
    for (const { name, in: where, schema } of parameters.filter(({ in: from }) => from !== 'header')) {
      const declared = (where === 'path' ? spec.params : spec.query)!.properties as Record<string, TSchema>;
      const validate = parameterValidator(Type.Object({ [name]: declared[name]! }));
      const agree = (text: string) => {
        if (where === 'path' && text === '') return; // no path has it
        if (schema.type === 'integer' && notJson.test(text)) return;
        assert.equal(
          accepts(() => validate({ [name]: text })),
          fits(schema, text),
          `${spec.id} ${name}: ${JSON.stringify(text)}`,
        );
      };
      samples.forEach(agree);
      fc.assert(fc.property(sample, agree), { numRuns: 50 });
    }
  }
});

test('the document of each header describes what the services accept, and nothing else', () => {
  const values = ['', 'a', 'a b', ' a', 'a ', 'é', 'a\tb', '"1"', 'a'.repeat(255), 'a'.repeat(256)];
  for (const { spec, parameters = [] } of documentedOperations().values()) {
    for (const { name, schema } of parameters.filter(({ in: from }) => from === 'header')) {
      const limits = spec.headers?.[name] ?? ifNoneMatch;
      const validate = headerValidator({ [name]: limits });
      for (const value of values) {
        assert.equal(
          accepts(() => validate({ [name]: value })),
          fits(schema, value),
          `${spec.id} ${name}: ${value}`,
        );
      }
    }
  }
});

test('the document of each text in a body describes what the services accept, and nothing else', () => {
  const item = { productId: 1, productName: 'Lamp', quantity: 1, unitPrice: 1, totalPrice: 1 };
  const valid: Record<string, object> = {
    createUser: { username: 'ada', email: 'ada@example.com', firstName: 'Ada', lastName: 'Lovelace' },
    createOrder: { userId: 1, items: [item], notes: 'n', shippingAddress: 's' },
  };
  const more = [
    '"a b"@example.com',
    'a@b',
    'a@b.cd',
    'a\u0085',
    '\ufeffa',
    'a\n',
    '\ud800',
    'a'.repeat(2001),
    ' a',
    'abc',
  ];
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.emailAddress(),
    fc.constantFrom(...samples, ...more),
  );
  const { schemas } = contracts;
  for (const [id, body] of Object.entries(valid)) {
    const operation = documentedOperations().get(id);
    if (!operation) continue; // a project without the shop has other ones
    const { spec } = operation;
    const validate = bodyValidator(spec.body!);
    const described = Compile(JSON.parse(JSON.stringify(toDocument(spec.body!))) as TSchema);
    assert.ok(Object.values(schemas).includes(spec.body!), 'the document refers to it');
    for (const field of Object.keys(body)) {
      const agree = (value: unknown) => {
        const changed = { ...body, [field]: value };
        assert.equal(
          accepts(() => validate(changed)),
          described.Check(changed),
          `${id} ${field}: ${JSON.stringify(value)}`,
        );
      };
      [...samples, ...more].forEach(agree);
      fc.assert(fc.property(text, agree), { numRuns: 100 });
    }
  }
});
