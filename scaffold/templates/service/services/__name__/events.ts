import type { EventData } from '#contracts/index.ts';
import { __camel__ } from '#contracts/__name__.ts';
import type { OutboxEvent } from '#platform/outbox';
import { inject } from '#platform/telemetry';
import type { __Entity__Row } from './store.ts';

/** The event of a new __entity__. */
export function __entityCamel__Created({ id, name, createdAt }: __Entity__Row): OutboxEvent {
  const data: EventData['__entity__.created'] = {
    __entityCamel__Id: Number(id),
    name,
    createdAt: createdAt.toISOString(),
  };
  return {
    topic: __camel__.events['__entity__.created'].topics[0],
    key: id,
    eventId: `__entity__-${id}-created`,
    type: '__entity__.created',
    source: __camel__.events['__entity__.created'].source,
    data: JSON.stringify(data),
    traceparent: inject(),
  };
}
