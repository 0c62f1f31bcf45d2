import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Fault } from '#local/fault.ts';
import { runningPid, writePidFile } from '#local/process.ts';

/** A commit, checked out beside the working tree. */
export interface Checkout {
  folder: string;
  /** the hash of the commit, and its subject */
  title: string;
  remove(): Promise<void>;
}

const git = async (root: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)('git', args, { cwd: root })).stdout.trim();

/**
 * Checks a commit out in `<folder>/old`, and removes what a killed run left there.
 * @throws Fault if the commit does not exist or lacks the npm script, or another comparison uses the folder
 */
export async function checkOut(root: string, folder: string, commit: string, script: string): Promise<Checkout> {
  const hash = await git(root, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${commit}^{commit}`).catch(
    () => {
      throw new Fault(`git knows no commit "${commit}" in ${root}.`);
    },
  );
  const title = await git(root, 'show', '--no-patch', '--format=%h (%s)', hash);
  const { scripts } = JSON.parse(await git(root, 'show', `${hash}:package.json`)) as { scripts: object };
  if (!Object.hasOwn(scripts, script)) throw new Fault(`${title} has no ${script}.`);

  const owner = join(folder, 'owner.pid');
  const other = runningPid(owner);
  if (other !== undefined) throw new Fault(`Another comparison is running (process ${other}).`);
  const remove = async (): Promise<void> => {
    rmSync(folder, { recursive: true, force: true });
    await git(root, 'worktree', 'prune');
  };
  await remove();
  mkdirSync(folder, { recursive: true });
  writePidFile(owner, process.pid);
  try {
    const old = join(folder, 'old');
    await git(root, 'worktree', 'add', '--detach', old, hash);
    sharePackages(root, old);
    return { folder: old, title, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Saves the minute of an installation if both need the same packages. */
function sharePackages(root: string, old: string): void {
  const lockFile = (checkout: string): string => readFileSync(join(checkout, 'package-lock.json'), 'utf8');
  const modules = join(root, 'node_modules');
  if (existsSync(modules) && lockFile(root) === lockFile(old)) symlinkSync(modules, join(old, 'node_modules'));
}
