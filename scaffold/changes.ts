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

  /**
   * Writes everything, formatted as the project is. Formatting takes its time: it comes first, so that a failure or Ctrl-C
   * leaves no part.
   * @returns a line for each written file
   */
  async write(): Promise<string[]> {
    const formatted: [path: string, text: string][] = [];
    for (const [path, text] of this.#texts) formatted.push([path, await formatFile(join(this.root, path), text)]);
    return formatted.flatMap(([path, text]) => this.#writeFile(path, text) ?? []).toSorted();
  }

  /** @returns a line, unless the file has that text already */
  #writeFile(path: string, text: string): string | undefined {
    const file = join(this.root, path);
    const isNew = !existsSync(file);
    if (!isNew && readFileSync(file, 'utf8') === text) return undefined;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return `${isNew ? 'wrote  ' : 'changed'} ${path}`;
  }
}

async function formatFile(file: string, text: string): Promise<string> {
  const { inferredParser } = await getFileInfo(file);
  return inferredParser === null ? text : await format(text, { ...(await resolveConfig(file)), filepath: file });
}
