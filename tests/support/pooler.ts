import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { withClient } from '#platform/postgres';
import { eventually } from './eventually.ts';
import { freePort } from './ports.ts';
import { testServers } from './servers.ts';

const pgbouncer = '/usr/sbin/pgbouncer';

/** Why a test with a pooler is skipped; false where it is not. */
export const withoutPooler =
  !existsSync(pgbouncer) || process.getuid?.() !== 0 ? 'it needs pgbouncer, and root to start it' : false;

/** What a pooler has to ignore, because PostgreSQL gets it with the login. */
export const ignored = 'ignore_startup_parameters = options, statement_timeout, extra_float_digits';

/**
 * Starts a pooler in front of the tests' PostgreSQL, whose superuser everybody is behind it.
 * @param settings lines of its file @returns the connection string by it
 */
export async function startPooler(
  t: TestContext,
  mode: 'session' | 'transaction',
  settings: readonly string[] = [ignored],
): Promise<string> {
  const { hostname, port: serverPort, username, password, pathname } = new URL(testServers().postgres);
  const folder = mkdtempSync(join(tmpdir(), 'millrace-pgbouncer-'));
  const port = await freePort();
  const config = join(folder, 'pgbouncer.ini');
  writeFileSync(
    config,
    `[databases]
* = host=${hostname} port=${serverPort} user=${username} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
${settings.join('\n')}
`,
  );
  chmodSync(folder, 0o755);
  const child = spawn(pgbouncer, ['-q', '-u', 'nobody', config], { stdio: 'ignore' });
  t.after(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    rmSync(folder, { recursive: true });
  });
  const url = `postgresql://${username}@127.0.0.1:${port}${pathname}`;
  await eventually(
    () => withClient(url, (client) => client.query('SELECT 1')).then(Boolean, () => false),
    'pgbouncer answers',
  );
  return url;
}
