import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { startGateway, startUpstream, unusedUrl } from './testing.ts';
import { eventually } from '#test/eventually.ts';

describe('trace', () => {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });

  before(() => trace.setGlobalTracerProvider(provider));
  beforeEach(() => exporter.reset());
  after(async () => {
    trace.disable();
    await provider.shutdown();
  });

  /** The spans of a trace once the outermost one has ended, outermost first. */
  async function spans(traceId: string) {
    const ended = () => exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId);
    await eventually(() => ended().some(({ kind }) => kind === SpanKind.SERVER));
    return ended().toSorted((a, b) => a.kind - b.kind);
  }

  it('has the request at the gateway and the call of the service below it', async (t) => {
    let received: string | undefined;
    const upstream = await startUpstream(t, (request, response) => {
      received = request.headers['traceparent'] as string;
      response.writeHead(201).end();
    });
    const gateway = await startGateway(t, upstream.url);
    const response = await fetch(`${gateway.url}/api/orders`, { method: 'POST', body: '{}' });
    const traceId = response.headers.get('x-trace-id')!;
    const [server, client, ...more] = await spans(traceId);
    assert.deepEqual([server!.name, server!.kind], ['POST /api/orders', SpanKind.SERVER]);
    assert.deepEqual([client!.name, client!.kind], ['POST /orders', SpanKind.CLIENT]);
    assert.equal(client!.parentSpanContext?.spanId, server!.spanContext().spanId);
    assert.equal(received, `00-${traceId}-${client!.spanContext().spanId}-01`);
    assert.equal(server!.attributes['http.route'], '/api/orders');
    assert.equal(server!.attributes['http.response.status_code'], 201);
    assert.equal(client!.attributes['server.port'], upstream.port);
    assert.deepEqual(more, []);
  });

  it('names the failure', async (t) => {
    const { url } = await unusedUrl(t);
    const gateway = await startGateway(t, url);
    const response = await fetch(`${gateway.url}/api/orders/7`);
    const [server, ...calls] = await spans(response.headers.get('x-trace-id')!);
    assert.equal(server!.name, 'GET /api/orders/{id}');
    assert.equal(server!.status.code, SpanStatusCode.ERROR);
    assert.equal(server!.attributes['http.response.status_code'], 503);
    assert.equal(calls.length, 2, 'the call and its retry');
    for (const call of calls) assert.equal(call.attributes['error.type'], 'ECONNREFUSED');
  });

  it('does not record an unsampled trace, and forwards it', async (t) => {
    let received: string | undefined;
    const upstream = await startUpstream(t, (request, response) => {
      received = request.headers['traceparent'] as string;
      response.end();
    });
    const gateway = await startGateway(t, upstream.url);
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    await fetch(`${gateway.url}/api/users`, { headers: { traceparent: `00-${traceId}-b7ad6b7169203331-00` } });
    assert.match(received!, new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    assert.deepEqual(exporter.getFinishedSpans(), []);
  });
});
