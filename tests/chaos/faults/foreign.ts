import { foreignEvent, foreignKey, type Data } from '../hops.ts';
import type { System } from '../system.ts';
import { send } from './errand.ts';
import { nothing, type Inject } from './fault.ts';
import type { StrangersRecord } from './stranger.ts';
import { eventServices } from '#platform/declarations';

const topic = 'order-events';
/** Below the 4 MB that the topic takes. */
const largeBytes = 4_194_000 - 1_000;
/** More than a consumer decompresses. */
const tooManyZeros = 17 * 1024 * 1024;
/** Far above the ids that orders draws. */
const firstOrder = 900_000_000_000;

let written = 0;
/** The events among them, by the platform that they were sent to, whether or not they arrived. */
const events = new WeakMap<System, StrangersRecord[]>();

/** Somebody else writes to a topic of ours. */
export const foreign: Inject = async (system, { target }) => {
  written += 1;
  const key = `${foreignKey}${written}`;
  const record = recordOf(target, key);
  const isEvent = target === 'compressed';
  if (isEvent) events.set(system, [...(events.get(system) ?? []), record]);
  const compressed = isEvent || target === 'unreadable';
  await send(system, { kind: 'send', topic, records: [record], compressed });
  return nothing;
};

/** Another program is a member of a group of ours, by mistake: what it reads has no effect, and must have it later. */
export const intrude: Inject = (system, { target, seconds }) => {
  const { topics } = eventServices()
    .flatMap(({ spec }) => spec.consumes ?? [])
    .find(({ group }) => group === target)!;
  const ended = send(system, { kind: 'join', group: target, topics: [...topics], seconds }).catch(() => undefined); // Kafka may go meanwhile
  return Promise.resolve(() => ended);
};

/** The others publish their events again, too, when the topic has lost them. */
export async function sendForeignAgain(system: System): Promise<void> {
  const records = events.get(system) ?? [];
  if (records.length > 0) await send(system, { kind: 'send', topic, records, compressed: true });
}

function recordOf(target: string, key: string): StrangersRecord {
  const order = orderData(firstOrder + written);
  const value = JSON.stringify(order);
  switch (target) {
    case 'zero-in-id':
      return { key, value, headers: eventHeaders(`a\0${key}`) };
    case 'no-headers':
      return { key, value: 'x', headers: {} };
    case 'large':
      return { key, value: 'x'.repeat(largeBytes), headers: {} };
    case 'unreadable':
      return { key, value: '', headers: {}, zeros: tooManyZeros };
    case 'tombstone':
      return { key, value: null, headers: {} };
    default:
      return { key, value, headers: eventHeaders(`${foreignEvent}${written}`) };
  }
}

function orderData(orderId: number): Data {
  const item = { productId: 1, productName: 'A foreign thing', quantity: 1, unitPrice: 5, totalPrice: 5 };
  const rest = { shippingAddress: null, notes: null, createdAt: new Date().toISOString() };
  return { orderId, userId: 1, status: 'PENDING', totalAmount: 5, items: [item], ...rest };
}

function eventHeaders(id: string): Record<string, string> {
  return {
    ce_specversion: '1.0',
    ce_id: id,
    ce_type: 'order.created',
    ce_source: '/strangers',
    ce_time: new Date().toISOString(),
  };
}
