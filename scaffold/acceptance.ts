// npm run test:new: checks, tests and starts the results of `npm run new`, in separate folders. It takes minutes, so that it is
// not part of `npm test`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { serviceUrl } from '#local/plan.ts';
import { freePortOffset } from '#test/ports.ts';

import { trackedFiles } from './tracked.ts';

const root = join(import.meta.dirname, '..');
/** Every npm script starts this program with the machine's own Node; it finds the Node that runs TypeScript. */
const starter = 'local/start.mjs';
const patience = 120_000;
/** the most of a program's output that is kept, in characters: the tests of a copy print some hundred thousand */
const maxOutput = 4_000_000;

const env: NodeJS.ProcessEnv = { ...process.env };
// The new project must not inherit the test context and the brokers of this run.
for (const name of [
  'NODE_TEST_CONTEXT',
  'NODE_OPTIONS',
  'KAFKA_BROKERS',
  'MILLRACE_TEST_POSTGRES',
  'MILLRACE_TEST_KAFKA',
])
  delete env[name];

const running = new Set<() => Promise<void>>();

function launch(folder: string, program: string, args: string[]) {
  const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-maxOutput)));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const stop = async (): Promise<void> => {
    child.kill('SIGINT');
    await exited;
  };
  running.add(stop);
  void exited.then(() => running.delete(stop));
  return { exited, stop, output: () => output, hasEnded: () => child.exitCode !== null || child.signalCode !== null };
}

/** Runs a command to its end. @returns its output. @throws with the output if it fails */
async function run(folder: string, program: string, ...args: string[]): Promise<string> {
  const { exited, output } = launch(folder, program, args);
  assert.equal(await exited, 0, `${program} ${args.join(' ')} failed:\n${output()}`);
  return output();
}

const millrace = (folder: string, ...args: string[]) => run(folder, process.execPath, starter, ...args);

/** The copy has these folders as they are here, so their tests, which `npm test` runs here, would find the same. */
const asHere = ['platform', 'streams', 'operators', 'charts/millrace-operator', 'tests/schedules', 'tests/support'];
/** The folders that it has otherwise, and the tests of the others that read its services and queries. */
const testedInCopy = [
  'charts',
  'dashboard',
  'k8s',
  'local',
  'scaffold',
  'services',
  'tests/tiltfile',
  'platform/declarations',
  'platform/errors',
  'streams/language',
];

function assertAsHere(copy: string): void {
  const inFolders = [...trackedFiles(root)].filter((path) => asHere.some((folder) => path.startsWith(`${folder}/`)));
  for (const path of inFolders.filter((one) => existsSync(join(copy, one))))
    assert.ok(
      readFileSync(join(copy, path)).equals(readFileSync(join(root, path))),
      `${path} is another one in the copy: its tests have to run there`,
    );
}

/** Gives a copy the packages of this project and the list of Kafka's jars, so that it does not fetch them. */
function equip(folder: string): void {
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  mkdirSync(join(folder, '.millrace'));
  for (const file of globSync('.millrace/*.classpath', { cwd: root })) cpSync(join(root, file), join(folder, file));
}

async function start(folder: string): Promise<{ gateway: string; stop(): Promise<void> }> {
  const offset = await freePortOffset();
  const data = join(dirname(folder), 'data');
  mkdirSync(data);
  const platform = launch(folder, process.execPath, [
    starter,
    'start',
    '--port-offset',
    String(offset),
    '--data',
    data,
  ]);
  while (!platform.output().includes('is up after')) {
    assert.ok(!platform.hasEnded(), platform.output());
    await delay(50);
  }
  return { gateway: serviceUrl('gateway', offset), stop: platform.stop };
}

/** Repeats a request until its response is as wanted. */
async function until(address: string, isWanted: (body: never) => boolean): Promise<void> {
  const end = Date.now() + patience;
  for (;;) {
    const response = await fetch(address);
    const body: unknown = await response.json();
    if (response.ok && isWanted(body as never)) return;
    assert.ok(Date.now() < end, `${address} answers ${response.status} ${JSON.stringify(body)}`);
    await delay(50);
  }
}

async function post(address: string, body: object): Promise<{ id: number }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(address, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = await response.text();
  assert.equal(response.status, 201, answer);
  return JSON.parse(answer) as { id: number };
}

describe('npm run new', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-new-'));
    chmodSync(folder, 0o755); // PostgreSQL may run as a user of its own
  });
  after(async () => {
    await Promise.all([...running].map((stop) => stop()));
    rmSync(folder, { recursive: true, force: true });
  });

  test('service makes a service that runs beside the others', async () => {
    const copy = join(folder, 'with-inventory/project');
    for (const path of trackedFiles(root)) cpSync(join(root, path), join(copy, path), { mode: 0 });
    equip(copy);
    const service = ['new', 'service', 'inventory', '--topic', 'inventory-events', '--consumes', 'order-events'];
    assert.match(await millrace(copy, ...service), /^wrote +services\/inventory\/main\.ts$/m);
    assert.match(await millrace(copy, ...service), /is there already: nothing was changed/);
    await millrace(copy, 'new', 'event', 'inventory', 'inventory.restocked');
    await millrace(copy, 'new', 'query', 'inventory-events-by-type', '--topic', 'inventory-events');
    await run(copy, 'npm', 'run', '--silent', 'check');
    const tested = [
      'services/inventory',
      'services/contracts',
      'services/gateway',
      'platform/declarations',
      'scaffold',
    ];
    await millrace(copy, 'test', ...tested);

    const { gateway, stop } = await start(copy);
    const health = (await (await fetch(`${gateway}/health`)).json()) as { checks: Record<string, { status: string }> };
    assert.equal(health.checks['inventory']?.status, 'UP');
    const { id } = await post(`${gateway}/api/inventory`, { name: 'Pocket watch' });
    const read = await fetch(`${gateway}/api/inventory/${id}`);
    assert.equal(((await read.json()) as { name: string }).name, 'Pocket watch');
    const user = { username: 'ada', email: 'ada@example.com', firstName: 'Ada', lastName: 'Lovelace' };
    const { id: userId } = await post(`${gateway}/api/users`, user);
    const item = { productId: 1, productName: 'Pocket watch', quantity: 2, unitPrice: 12.5, totalPrice: 25 };
    await post(`${gateway}/api/orders`, { userId, items: [item] });
    await until(
      `${gateway}/api/inventory/latest-events`,
      ([latest]: { type: string }[]) => latest?.type === 'order.created',
    );
    const windows = (query: string, value: string) =>
      until(
        `${gateway}/analytics/queries/${query}/windows`,
        ([window]: { values: Record<string, number> }[]) => window?.values[value] === 1,
      );
    await windows('inventory-created', 'created');
    await windows('inventory-events-by-type', 'events');
    const openapi = (await (await fetch(`${gateway}/openapi.json`)).json()) as { paths: object };
    assert.ok('/api/inventory/{id}' in openapi.paths);
    await stop();
  });

  // the tests of the copy start it, create an item through the gateway and wait for the event, the projection and the window
  test('shop-free makes a project that is checked and tested', async () => {
    const copy = join(folder, 'acme');
    assert.match(await millrace(root, 'new', 'shop-free', copy), /git init/);
    equip(copy);
    await millrace(copy, 'new', 'service', 'bookings'); // one that consumes nothing
    await millrace(copy, 'new', 'event', 'bookings', 'booking.cancelled');
    await run(copy, 'npm', 'run', '--silent', 'check');
    assertAsHere(copy);
    await run(copy, 'npm', 'test', '--', ...testedInCopy);
    const tested = await run(copy, 'npm', 'run', 'test:system');
    const acceptance = 'takes an item, and its event reaches the projection and the window';
    assert.ok(tested.includes(`✔ ${acceptance}`), `the copy has the test: ${acceptance}`);
    assert.ok(!existsSync(join(copy, 'bench')));
    const refusal = launch(root, process.execPath, [starter, 'new', 'shop-free', copy]);
    assert.equal(await refusal.exited, 1);
    assert.match(refusal.output(), /is not empty: name a new folder/);
  });
});
