import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** A marker line: the lines up to the marker `end` are kept only if the section is wanted. */
const marker = /^\s*(?:\/\/|--|#)\? (\w+)\s*$/;

/**
 * The files of a folder of templates, by their path. A placeholder `__name__` is replaced in paths and texts; an empty file
 * is omitted. A test is named `.test.template.ts`, so that test runs do not find it here.
 * @param sections the names of the wanted sections
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
