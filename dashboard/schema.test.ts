import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Compile } from 'typebox/compile';
import { buildOpenApi } from '#platform/contract';
import { contracts } from '#contracts/index.ts';
import { limitsOf, sample, typeOf } from './assets/schema.js';

interface Document {
  paths: Record<string, Record<string, { requestBody: { content: { 'application/json': { schema: object } } } }>>;
  components: { schemas: Record<string, object> };
}

describe('schema', () => {
  it('has a short description', () => {
    assert.equal(typeOf({ type: 'array', items: { $ref: '#/components/schemas/Order' } }), 'Order[]');
    assert.equal(typeOf({ anyOf: [{ type: 'string' }, { type: 'null' }] }), 'string or null');
    assert.equal(typeOf({ enum: ['A', 'B'] }), 'A | B');
    assert.equal(limitsOf({ minLength: 3, maxLength: 50 }), '3 to 50 characters');
    assert.equal(limitsOf({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, default: 100 }), 'at least 1, default 100');
  });

  it('has an example that the operation accepts', () => {
    const { paths, components } = buildOpenApi(contracts, { version: '0' }) as unknown as Document;
    for (const { id, path, method, body } of contracts.operations) {
      if (!body) continue;
      const example = sample(paths[path]![method]!.requestBody.content['application/json'].schema, components.schemas);
      assert.ok(Compile(body).Check(example), `${id}: ${JSON.stringify(example)}`);
    }
  });
});
