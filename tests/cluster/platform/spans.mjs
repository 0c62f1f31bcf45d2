// An OpenTelemetry collector's part that the tests need, in a pod: it takes spans as OTLP over HTTP in protobuf, the exporters'
// default, and answers GET /spans with them as JSON. Field numbers: opentelemetry/proto/trace/v1/trace.proto.
import { createServer } from 'node:http';

const received = [];

/** The fields of a message, by their numbers: bytes of those with a length, numbers of the others. */
function fieldsOf(bytes) {
  const fields = {};
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const [number, type] = [tag >> 3, tag & 7];
    let value;
    if (type === 0) value = Number(varint());
    else if (type === 1) [value, at] = [bytes.readBigUInt64LE(at), at + 8];
    else if (type === 5) [value, at] = [bytes.readUInt32LE(at), at + 4];
    else {
      const length = Number(varint());
      [value, at] = [bytes.subarray(at, at + length), at + length];
    }
    (fields[number] ??= []).push(value);
  }
  return fields;
}
const text = (value) => value?.toString() ?? '';
const hex = (value) => (value?.length ? value.toString('hex') : undefined);

function spansOf(request) {
  return (fieldsOf(request)[1] ?? []).map(fieldsOf).flatMap((resourceSpans) => {
    const attributes = (fieldsOf(resourceSpans[1][0])[1] ?? []).map(fieldsOf);
    const service = attributes.find((attribute) => text(attribute[1][0]) === 'service.name');
    return (resourceSpans[2] ?? [])
      .flatMap((scopeSpans) => fieldsOf(scopeSpans)[2] ?? [])
      .map(fieldsOf)
      .map((span) => ({
        service: text(fieldsOf(service[2][0])[1]?.[0]),
        traceId: hex(span[1]?.[0]),
        spanId: hex(span[2]?.[0]),
        parentSpanId: hex(span[4]?.[0]),
        name: text(span[5]?.[0]),
        kind: span[6]?.[0] ?? 0,
        startMs: Number(span[7]?.[0] ?? 0n) / 1e6,
        endMs: Number(span[8]?.[0] ?? 0n) / 1e6,
      }));
  });
}

const server = createServer((request, response) => {
  if (request.method === 'GET') return response.end(JSON.stringify(received));
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    received.push(...spansOf(Buffer.concat(chunks)));
    response.setHeader('content-type', 'application/x-protobuf').end();
  });
});
server.listen(4318);
process.on('SIGTERM', () => process.exit(0));
