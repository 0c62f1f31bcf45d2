import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { trackedFiles } from '../../scaffold/tracked.ts';
import { mutate } from './mutant.ts';
import type { Mutant } from './mutant.ts';

/** A copy of the project in a temporary folder: what git tracks, as it is now, and the generated Prisma clients. */
export class Scratch {
  readonly folder = mkdtempSync(join(tmpdir(), 'millrace-mutants-'));

  constructor(root: string) {
    const files = [...trackedFiles(root), ...globSync('prisma/*/client/**/*.ts', { cwd: root })];
    for (const path of files) {
      const source = join(root, path);
      if (!existsSync(source)) continue; // deleted, and not committed yet
      const target = join(this.folder, path);
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(source, target);
    }
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'));
  }

  /** Runs work while the copy has the bug. */
  async with<T>(mutant: Mutant, work: () => Promise<T>): Promise<T> {
    const path = join(this.folder, mutant.file);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, mutate(text, mutant));
    try {
      return await work();
    } finally {
      writeFileSync(path, text);
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
