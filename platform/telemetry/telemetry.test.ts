import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trace } from '@opentelemetry/api';
import { contextOf, isSampled } from './telemetry.ts';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

test('a traceparent names its context', () => {
  assert.deepEqual(trace.getSpanContext(contextOf(traceparent)), {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    traceFlags: 1,
    isRemote: true,
  });
});

test('a traceparent that is none names nothing', () => {
  const wrong = [
    undefined,
    '',
    'x',
    traceparent.slice(1),
    traceparent.replace('0af7651916cd43dd8448eb211c80319c', '0'.repeat(32)),
  ];
  for (const text of wrong) assert.equal(trace.getSpanContext(contextOf(text)), undefined, String(text));
});

test('the flag says whether a trace is recorded', () => {
  assert.ok(isSampled(traceparent));
  assert.ok(!isSampled(traceparent.replace(/01$/, '00')));
  assert.ok(!isSampled(undefined));
});
