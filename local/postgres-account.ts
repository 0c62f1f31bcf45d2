import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';

import { Fault } from './fault.ts';

/** The user that PostgreSQL runs as; empty for the present user. */
export interface Account {
  uid?: number;
  gid?: number;
}

/** PostgreSQL refuses to run as root, so root starts it as the system user `postgres`, created when it is missing. */
export function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {};
  const found = lookUp('postgres');
  if (found) return found;
  const created =
    spawnSync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres'])
      .status === 0 || spawnSync('adduser', ['-S', '-D', '-H', 'postgres']).status === 0;
  const account = created ? lookUp('postgres') : undefined;
  if (account) return account;
  throw new Fault('PostgreSQL does not run as root, and the system user "postgres" could not be created.', {
    hint: 'Run Millrace as an ordinary user, or create that user first.',
  });
}

function lookUp(user: string): Account | undefined {
  const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, user], { encoding: 'utf8' }));
  if (uid?.status !== 0 || gid?.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/**
 * The folder for PostgreSQL's data: below `folder` if the server's user can reach it, else in a folder of root below
 * /var/tmp (other users cannot read a clone in /root).
 */
export function reachableFolder(folder: string, account: Account): string {
  if (account.uid === undefined || canEnter(folder, account)) return folder;
  const home = join('/var/tmp', `millrace-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`);
  mkdirSync(home, { recursive: true, mode: 0o711 });
  const stat = lstatSync(home);
  if (!stat.isDirectory() || stat.uid !== 0 || (stat.mode & 0o022) !== 0)
    throw new Fault(`${home}, the folder for PostgreSQL's data, belongs to another user.`);
  chmodSync(home, 0o711);
  return home;
}

function canEnter(folder: string, account: Account): boolean {
  return spawnSync('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], { ...account, cwd: '/' }).status === 0;
}

/**
 * The `native` folder of the installed PostgreSQL as the server's user can run it: in place, or a copy in `folder`.
 * It creates the links of the package, so that the package's install script need not run.
 */
export function reachableBinaries(native: string, version: string, folder: string, account: Account): string {
  hydrateLinks(native);
  if (runs(native, account)) return native;
  const copy = join(folder, `postgresql-${version}`);
  if (!existsSync(copy)) {
    const draft = `${copy}.draft`;
    rmSync(draft, { recursive: true, force: true });
    cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
    spawnSync('chmod', ['-R', 'a+rX', draft]);
    renameSync(draft, copy);
  }
  if (runs(copy, account)) return copy;
  const { stderr, error } = spawnSync(join(copy, 'bin/postgres'), ['--version'], {
    ...account,
    cwd: '/',
    encoding: 'utf8',
  });
  throw new Fault(`PostgreSQL's program does not run on this machine: ${error?.message ?? stderr.trim()}`);
}

function runs(native: string, account: Account): boolean {
  return spawnSync(join(native, 'bin/postgres'), ['--version'], { ...account, cwd: '/' }).status === 0;
}

function hydrateLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const packageFolder = dirname(native);
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(packageFolder, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(link), join(packageFolder, source)), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  for (const program of ['postgres', 'initdb', 'pg_ctl']) {
    const file = join(native, 'bin', program);
    if ((lstatSync(file).mode & 0o555) !== 0o555) chmodSync(file, 0o755);
  }
}
