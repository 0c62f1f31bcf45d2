import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { foreignEvent, foreignKey, type Data } from '../hops.ts';
import type { System } from '../system.ts';
import { nothing, type Inject } from './fault.ts';
import type { Errand, StrangersRecord } from './stranger.ts';

const topic = 'order-events';
/** Below the 4 MB that the topic takes. */
const largeBytes = 4_194_000 - 1_000;
/** Far above the ids that orders draws. */
const firstOrder = 900_000_000_000;
const stranger = fileURLToPath(new URL('stranger.ts', import.meta.url));

let written = 0;

/** Somebody else writes to a topic of ours. */
export const foreign: Inject = async (system, { target }) => {
  written += 1;
  const key = `${foreignKey}${written}`;
  const compressed = target === 'compressed';
  await run(system, { kind: 'send', topic, records: [recordOf(target, key)], compressed });
  return nothing;
};

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

/** Adds two partitions to a topic: the keys of later events move. */
export const addPartitions: Inject = async (system, { target }) => {
  await run(system, { kind: 'add-partitions', topic: target, add: 2 });
  return nothing;
};

async function run({ brokers }: System, errand: Errand): Promise<void> {
  const child = spawn(process.execPath, ['--no-warnings', stranger], {
    stdio: ['pipe', 'ignore', 'pipe'],
    timeout: 20_000,
    env: { ...process.env, KAFKAJS_NO_PARTITIONER_WARNING: '1' },
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdin.on('error', () => undefined).end(JSON.stringify({ brokers, errand }));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the stranger failed: ${/Error: .*/.exec(errors)?.[0] ?? `exit code ${code}`}`);
}
