import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { buildAsyncApi } from './asyncapi.ts';
import { encodeHeaders } from './cloudevents.ts';
import { collectContracts, defineContract } from './contract.ts';

test('the headers that are documented are those of an event', () => {
  const happened = { summary: 'It happened', topics: ['tests'], schema: Type.Object({}) };
  const contracts = collectContracts({ title: 'Tests', description: '' }, [
    defineContract('tests', { events: { 'test.happened': happened } }),
  ]);
  const { components } = buildAsyncApi(contracts, { version: '1', topics: ['tests'] }) as unknown as {
    components: {
      messages: Record<string, { contentType: string; headers: { properties: object; required: string[] } }>;
    };
  };
  const { headers, contentType } = components.messages['testHappened']!;
  const envelope = { id: '1', type: 'test.happened', source: '/tests', subject: '1', time: new Date() };
  const { 'content-type': type, ...sent } = encodeHeaders({ ...envelope, traceparent: '00-1-1-01' });
  assert.equal(contentType, type);
  assert.deepEqual(Object.keys(headers.properties), Object.keys(sent));
  for (const name of headers.required) assert.ok(name in sent, name);
});
