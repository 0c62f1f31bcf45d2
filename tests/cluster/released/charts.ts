import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { output } from '../platform/cluster.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The charts of a commit, in a folder of their own until `remove`. */
export interface ChartsOf {
  folder: string;
  remove(): void;
}

/** Takes the charts of a commit out of git. @throws where git does not know the commit */
export async function chartsOf(commit: string): Promise<ChartsOf> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-charts-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const archive = join(folder, 'charts.tar');
    await output('git', ['-C', root, 'archive', '--format=tar', `--output=${archive}`, commit, 'charts']);
    await output('tar', ['-xf', archive, '-C', folder]);
    return { folder: join(folder, 'charts'), remove };
  } catch (error) {
    remove();
    throw error;
  }
}
