import type { ContractRegistry } from './contract.ts';
import { toDocument } from './schema-document.ts';
import type { Json } from './schema-document.ts';

const headers: Json = {
  type: 'object',
  description: 'CloudEvents 1.0, binary mode',
  required: ['ce_specversion', 'ce_id', 'ce_type', 'ce_source', 'ce_time'],
  properties: {
    ce_specversion: { const: '1.0' },
    ce_id: { type: 'string', examples: ['order-1-1'] },
    ce_type: { type: 'string' },
    ce_source: { type: 'string' },
    ce_subject: { type: 'string' },
    ce_time: { type: 'string', format: 'date-time' },
    traceparent: { type: 'string', description: 'W3C Trace Context' },
  },
};

/** The name of an event type in the document: `orderStatusChanged` for `order.status-changed`. */
function messageName(type: string): string {
  return type.replaceAll(/[.-](\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** The AsyncAPI 3.0 document of the events; its channels are the declared topics. */
export function buildAsyncApi(
  { title, events }: ContractRegistry,
  { version, topics }: { version: string; topics: readonly string[] },
): Json {
  const types = Object.entries(events);
  const sentTo = (topic: string) => types.filter(([, { topics: sent }]) => sent.includes(topic));
  const channels = topics.filter((topic) => sentTo(topic).length > 0);
  return {
    asyncapi: '3.0.0',
    info: {
      title: `${title} events`,
      version,
      description: 'What the services say to each other. The key of a message is the id of its aggregate, in decimal.',
      license: { name: 'MIT' },
    },
    defaultContentType: 'application/json',
    channels: Object.fromEntries(
      channels.map((topic) => [
        topic,
        {
          address: topic,
          bindings: { kafka: { topic } },
          messages: Object.fromEntries(
            sentTo(topic).map(([type]) => [messageName(type), { $ref: `#/components/messages/${messageName(type)}` }]),
          ),
        },
      ]),
    ),
    operations: Object.fromEntries(
      channels.map((topic) => [
        `receive-${topic}`,
        { action: 'receive', channel: { $ref: `#/channels/${topic}` }, summary: `Follow ${topic}` },
      ]),
    ),
    components: {
      messages: Object.fromEntries(
        types.map(([type, { summary, schema }]) => [
          messageName(type),
          {
            name: type,
            summary,
            contentType: 'application/json',
            bindings: { kafka: { key: { type: 'string', description: 'the id of the aggregate' } } },
            headers,
            payload: toDocument(schema),
          },
        ]),
      ),
    },
  };
}
