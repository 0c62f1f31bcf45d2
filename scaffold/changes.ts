import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { format, getFileInfo, resolveConfig } from 'prettier';

import { Fault } from '#local/fault.ts';

/** Files to write below a folder: all of them, or none if a new file already exists. */
export class Changes {
  readonly root: string;
  readonly #texts = new Map<string, string>();

  constructor(root: string) {
    this.root = root;
  }

  /** @throws Fault if the file exists */
  create(path: string, text: string): void {
    if (existsSync(join(this.root, path))) throw new Fault(`${path} is there already: choose another name.`);
    this.#texts.set(path, text);
  }

  edit(path: string, edit: (text: string) => string): void {
    this.#texts.set(path, edit(this.#texts.get(path) ?? readFileSync(join(this.root, path), 'utf8')));
  }

  /** Writes everything, formatted as the project is. @returns a line for each written file */
  async write(): Promise<string[]> {
    const lines: string[] = [];
    for (const [path, text] of this.#texts) {
      const file = join(this.root, path);
      const isNew = !existsSync(file);
      const formatted = await formatFile(file, text);
      if (!isNew && readFileSync(file, 'utf8') === formatted) continue;
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, formatted);
      lines.push(`${isNew ? 'wrote  ' : 'changed'} ${path}`);
    }
    return lines.toSorted();
  }
}

async function formatFile(file: string, text: string): Promise<string> {
  const { inferredParser } = await getFileInfo(file);
  return inferredParser === null ? text : await format(text, { ...(await resolveConfig(file)), filepath: file });
}
