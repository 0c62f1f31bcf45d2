import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** A marker line: what follows is there where the section is wanted, up to the marker `end`. */
const marker = /^\s*(?:\/\/|--|#)\? (\w+)\s*$/;

/**
 * The files that a folder of templates makes, by their path. A placeholder `__name__` is replaced in paths and texts; a file
 * of which nothing is left is not made. What is to be a test is named `.test.template.ts`, so that no run of tests finds it here.
 * @param sections the names of the sections that are wanted
 */
export function fillTemplates(
  folder: string,
  values: Readonly<Record<string, string>>,
  sections: ReadonlySet<string> = new Set(),
): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const text = withSections(readFileSync(file, 'utf8'), sections);
    const path = relative(folder, file).replace('.template.', '.');
    if (text.trim() !== '') files.set(fill(path, values), fill(text, values));
  }
  return files;
}

function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/__([A-Za-z]+?)__/g, (placeholder, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`a template has ${placeholder}, which nothing has a value for`);
    return value;
  });
}

function withSections(text: string, wanted: ReadonlySet<string>): string {
  let section: string | undefined;
  const lines = text.split('\n').filter((line) => {
    const name = marker.exec(line)?.[1];
    if (name !== undefined) section = name === 'end' ? undefined : name;
    return name === undefined && (section === undefined || wanted.has(section));
  });
  return lines.join('\n');
}
