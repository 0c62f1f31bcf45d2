import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { serverAccount } from '#local/postgres-account.ts';
import { endChild } from '#local/process.ts';
import { withClient } from '#platform/postgres';

import { eventually } from './eventually.ts';
import { freePort } from './ports.ts';

/**
 * The folder of an installed PostgreSQL with its client programs, which the packages of npm lack; undefined where there is none. pg_dump
 * dumps no server that is newer than itself, so the server must be of the same folder.
 */
const programs: string | undefined = [
  ...globSync('/usr/lib/postgresql/*/bin').toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true })),
  spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' }).stdout?.trim(),
].find((folder) => folder && ['postgres', 'initdb', 'pg_dump', 'psql'].every((name) => existsSync(join(folder, name))));

/** Why this machine runs no scripts that use PostgreSQL's programs, or false. */
export const withoutPrograms: string | false =
  process.platform !== 'linux'
    ? 'scripts of the images of PostgreSQL need GNU’s tools'
    : programs === undefined && 'no PostgreSQL with pg_dump and psql is installed';

/** A separate PostgreSQL of a test, with the programs that fit it. */
export interface ProgrammedPostgres {
  /** of the superuser, database `postgres` */
  url: string;
  /** the environment with which scripts find the programs and the server */
  env: Record<string, string>;
  stop(): Promise<void>;
}

/** Starts the PostgreSQL that is installed on this machine. */
export async function startProgrammedPostgres(): Promise<ProgrammedPostgres> {
  const account = serverAccount();
  const folder = mkdtempSync(join(tmpdir(), 'millrace-postgres-'));
  const [data, passwordFile] = [join(folder, 'data'), join(folder, 'password')];
  const password = randomBytes(24).toString('base64url');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (account.uid !== undefined && account.gid !== undefined)
    for (const path of [folder, passwordFile]) chownSync(path, account.uid, account.gid);
  const run = { ...account, cwd: '/' };
  const flags = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--no-sync'];
  const made = ['-D', data, ...flags, '--encoding=UTF8', '--locale=C'];
  execFileSync(join(programs!, 'initdb'), made, { ...run, stdio: 'pipe' });
  const port = await freePort();
  const settings = { port, listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off' };
  const chosen = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(join(programs!, 'postgres'), ['-D', data, ...chosen], {
    ...run,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  server.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)));
  const kill = () => server.kill('SIGQUIT');
  process.once('exit', kill);
  const stop = async (): Promise<void> => {
    await endChild(server, 'SIGINT', 10_000);
    process.off('exit', kill);
    rmSync(folder, { recursive: true, force: true });
  };
  const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`;
  try {
    await eventually(async () => {
      if (server.exitCode !== null) throw new Error(`PostgreSQL ended:\n${said}`);
      return await withClient(url, () => Promise.resolve(true)).catch(() => false);
    }, 'PostgreSQL answers');
  } catch (error) {
    await stop();
    throw error;
  }
  const connection = { PGHOST: '127.0.0.1', PGPORT: String(port), PGUSER: 'postgres', PGPASSWORD: password };
  return { url, env: { PATH: `${programs}:${process.env['PATH']}`, ...connection }, stop };
}
