import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { generateClients } from '#local/generate.ts';
import type { StopRequests } from '#local/signals.ts';
import { probeBroker, parseBrokers } from '#local/kafka-probe.ts';
import { withClient } from '#platform/postgres';

import { killOverdue } from '#test/overdue.ts';
import { forgetKilledRuns, startOwnServers, startServers, state, type Servers } from '#test/server-run.ts';
import { runProgram } from '#test/program.ts';
import { keptServers } from '#test/servers.ts';
import { testFiles, usesKafka } from '#test/test-files.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const KEPT = { postgres: 15_442, kafka: 19_192, controller: 19_193 };
/** Runs those that can share a process. */
const SHARED = join(root, 'tests/shared-process.ts');
/** Tests of more than one service. */
const TESTS = join(root, 'tests/');
/** Most tests wait for a server most of the time, so that two cores run more of them at once. */
const CONCURRENCY = 6;

/**
 * V8 compiles in the main thread. Its compiler's threads may wait for the main one while that waits for them at the exit of Node
 * (https://github.com/nodejs/node/issues/54918), and the file would hang.
 */
const COMPILER = ['--no-concurrent-recompilation', '--no-concurrent-sparkplug'];

/** Loaded in the process of each test file: ends a file that does not end by itself. */
const TIME_LIMIT = pathToFileURL(join(root, 'tests/support/time-limit.ts')).href;

async function useKeptServers(): Promise<Servers | undefined> {
  const env = keptServers();
  const [broker] = parseBrokers(env['MILLRACE_TEST_KAFKA'] ?? '') ?? [];
  if (!broker || env['MILLRACE_TEST_POSTGRES'] === undefined) return undefined;
  try {
    await withClient(env['MILLRACE_TEST_POSTGRES'], (client) => client.query('SELECT 1'));
    await probeBroker(broker.host, broker.port, 2_000);
    return { env, stop: () => Promise.resolve() };
  } catch {
    return undefined;
  }
}

/** Runs the test files of globs and folders, with flags of `node --test`. @returns the exit code */
async function runTests(args: string[], env: Record<string, string>, requests: StopRequests): Promise<number> {
  const named = args.map((arg) => (isFolder(arg) ? join(arg, '**/*.test.ts') : arg));
  const files = named.some((arg) => !arg.startsWith('-')) ? named : [...named, ...wholeRun()];
  const flags = ['--test', '--no-warnings', `--test-concurrency=${CONCURRENCY}`, '--import', TIME_LIMIT, ...COMPILER];
  const overdue = killOverdue();
  const child = spawn(process.execPath, [...flags, ...files], {
    cwd: root,
    stdio: 'inherit',
    env: { NODE_COMPILE_CACHE: join(state, 'compile-cache'), ...process.env, ...env, ...overdue.env },
  });
  void requests.first.then(() => child.kill('SIGTERM'));
  const [code] = (await once(child, 'exit')) as [number | null];
  overdue.stop();
  return code ?? 1;
}

/**
 * The files of all tests. Those of more than one service and those with Kafka take longest: beginning with them leaves short ones for
 * the end, so that no core waits for a long one. Node runs the files in the order of their names, and absolute ones come first.
 */
function wholeRun(): string[] {
  const isFirst = (file: string) => file.startsWith(TESTS) || usesKafka(file);
  return [SHARED, ...testFiles().others.map((file) => (isFirst(file) ? file : relative(root, file)))];
}

function isFolder(path: string): boolean {
  return statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

async function keepServers(requests: StopRequests): Promise<void> {
  const file = join(state, 'test.env');
  const servers = await startServers(join(state, 'test-servers'), KEPT, requests);
  writeFileSync(
    file,
    Object.entries(servers.env)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
    { mode: 0o600 },
  );
  console.log(`PostgreSQL and Kafka for tests are up until Ctrl-C; npm test and node --test use them (${file}).`);
  const idle = setInterval(() => undefined, 1 << 30);
  await requests.first;
  clearInterval(idle);
  rmSync(file, { force: true });
  await servers.stop();
}

async function main(args: string[], requests: StopRequests): Promise<number> {
  await generateClients();
  mkdirSync(state, { recursive: true });
  await forgetKilledRuns();
  if (args[0] === 'servers') {
    await keepServers(requests);
    return 0;
  }
  const servers = (await useKeptServers()) ?? (await startOwnServers(requests));
  try {
    return await runTests(args, servers.env, requests);
  } finally {
    await servers.stop();
  }
}

await runProgram(main);
