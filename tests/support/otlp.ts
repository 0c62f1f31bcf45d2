import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';

/** A span as it arrived, with its service. */
export interface ReceivedSpan {
  service: string;
  name: string;
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  attributes: Record<string, string | number | boolean>;
  startMs: number;
  endMs: number;
  failed: boolean;
}

interface OtlpValue {
  stringValue?: string;
  intValue?: string | number;
  doubleValue?: number;
  boolValue?: boolean;
}

interface OtlpAttribute {
  key: string;
  value: OtlpValue;
}

interface OtlpSpan {
  name: string;
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  attributes?: OtlpAttribute[];
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status?: { code?: number };
}

interface OtlpBody {
  resourceSpans: { resource: { attributes: OtlpAttribute[] }; scopeSpans: { spans: OtlpSpan[] }[] }[];
}

const attributesOf = (attributes: OtlpAttribute[] = []): ReceivedSpan['attributes'] =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? value.boolValue ?? Number(value.intValue ?? value.doubleValue),
    ]),
  );

function spansOf(body: OtlpBody): ReceivedSpan[] {
  return body.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(attributesOf(resource.attributes)['service.name']);
    return scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        service,
        name: span.name,
        kind: span.kind,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId || undefined,
        attributes: attributesOf(span.attributes),
        startMs: Number(span.startTimeUnixNano) / 1e6,
        endMs: Number(span.endTimeUnixNano) / 1e6,
        failed: span.status?.code === 2,
      }));
  });
}

/** An OTLP receiver (http/json) in this process that keeps the spans. */
export async function startOtlpReceiver(): Promise<{
  endpoint: string;
  spans: ReceivedSpan[];
  close(): Promise<void>;
}> {
  const spans: ReceivedSpan[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      spans.push(...spansOf(JSON.parse(Buffer.concat(chunks).toString()) as OtlpBody));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A span with its children, oldest first. */
export interface SpanNode {
  service: string;
  name: string;
  children: SpanNode[];
}

/** The spans of a trace as a tree from its root. @throws if a span's parent is missing, or there is not exactly one root. */
export function spanTree(spans: readonly ReceivedSpan[], rootParent?: string): SpanNode {
  const ids = new Set(spans.map((span) => span.spanId));
  const roots = spans.filter((span) => span.parentSpanId === rootParent);
  const orphans = spans.filter((span) => span.parentSpanId !== rootParent && !ids.has(span.parentSpanId ?? ''));
  if (roots.length !== 1 || orphans.length > 0) {
    const names = orphans.map((span) => `${span.service} ${span.name}`).join(', ');
    throw new Error(`${roots.length} roots; without a parent: ${names || 'none'}`);
  }
  const node = (span: ReceivedSpan): SpanNode => ({
    service: span.service,
    name: span.name,
    children: spans
      .filter((child) => child.parentSpanId === span.spanId)
      .toSorted((a, b) => a.startMs - b.startMs || a.name.localeCompare(b.name))
      .map(node),
  });
  return node(roots[0]!);
}
