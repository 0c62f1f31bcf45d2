// Starts the platform as `npm start` does, on other ports with fresh data. It prints the seconds until every service is
// ready, and the memory by process, idle and after a small load.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { serviceUrl } from '#local/plan.ts';
import { memoryBelow, type MemoryUse } from './memory.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const PORT_OFFSET = 2_500;
const GATEWAY = serviceUrl('gateway', PORT_OFFSET);
const ORDERS = 2_000;
const SETTLE_MS = 3_000;

const data = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
// PostgreSQL may run as a user of its own.
chmodSync(data, 0o755);

interface Start {
  seconds: number;
  idle: MemoryUse[];
  loaded: MemoryUse[];
}

/** One start on the data folder, with fresh data or the data of the previous start. */
async function measureStart(): Promise<Start> {
  const began = performance.now();
  const { KAFKA_BROKERS: _, npm_lifecycle_event: __, ...env } = process.env;
  const npm = spawn('npm', ['start', '--', '--port-offset', String(PORT_OFFSET), '--data', data], {
    cwd: root,
    env: { ...env, LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(npm, 'exit');
  try {
    await untilUp(npm.stdout);
    const seconds = (performance.now() - began) / 1000;
    await delay(SETTLE_MS);
    const idle = memoryBelow(npm.pid as number);
    await placeOrders();
    await delay(SETTLE_MS);
    return { seconds, idle, loaded: memoryBelow(npm.pid as number) };
  } finally {
    npm.kill('SIGINT');
    await exited;
  }
}

async function untilUp(output: NodeJS.ReadableStream): Promise<void> {
  let text = '';
  await new Promise<void>((resolve, reject) => {
    output.on('data', (chunk) => {
      text += String(chunk);
      if (text.includes('Millrace is up')) resolve();
    });
    output.once('end', () => reject(new Error(`The platform did not come up:\n${text}`)));
  });
}

async function post(path: string, body: unknown): Promise<{ id: number }> {
  const response = await fetch(GATEWAY + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (response.status !== 201) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as { id: number };
}

async function placeOrders(): Promise<void> {
  const username = `bench${Date.now()}`;
  const user = { username, email: `${username}@example.com`, firstName: 'Bench', lastName: 'Start' };
  const { id: userId } = await post('/api/users', user);
  const items = [{ productId: 1, productName: 'Scales', quantity: 1, unitPrice: 9.5, totalPrice: 9.5 }];
  for (let placed = 0; placed < ORDERS; placed += 20)
    await Promise.all(Array.from({ length: 20 }, () => post('/api/orders', { userId, items })));
}

const megabytes = (bytes: number): number => Math.round(bytes / (1 << 20));
const total = (uses: MemoryUse[]): number => megabytes(uses.reduce((sum, { pss }) => sum + pss, 0));

function table({ idle, loaded }: Start): string {
  const rows = loaded.map((use) => {
    const before = idle.find(({ name }) => name === use.name);
    const cells = [before?.pss, before?.rss, use.pss, use.rss].map((bytes) =>
      String(megabytes(bytes ?? 0)).padStart(8),
    );
    return `${`${use.name}${use.processes > 1 ? ` (${use.processes})` : ''}`.padEnd(18)}${cells.join('')}`;
  });
  const head = `${'MB'.padEnd(18)}${['idle PSS', 'RSS', 'load PSS', 'RSS'].map((cell) => cell.padStart(8)).join('')}`;
  return [
    head,
    ...rows,
    `${'sum'.padEnd(18)}${String(total(idle)).padStart(8)}${String(total(loaded)).padStart(16)}`,
  ].join('\n');
}

try {
  const first = await measureStart();
  const second = await measureStart();
  console.log(
    `Up after ${first.seconds.toFixed(1)} s with fresh data, ${second.seconds.toFixed(1)} s with existing data.`,
  );
  console.log(`Memory idle and after ${ORDERS} orders:\n${table(first)}`);
  const result = {
    secondsFresh: Number(first.seconds.toFixed(2)),
    secondsAgain: Number(second.seconds.toFixed(2)),
    idleMegabytes: total(first.idle),
    loadedMegabytes: total(first.loaded),
    processes: Object.fromEntries(first.loaded.map(({ name, pss }) => [name, megabytes(pss)])),
  };
  console.log(JSON.stringify(result));
} finally {
  rmSync(data, { recursive: true, force: true });
}
