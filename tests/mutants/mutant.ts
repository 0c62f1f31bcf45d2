import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A known bug: an exact replacement of text that puts it back, and the test that finds it. */
export interface Mutant {
  /** in lower case, with hyphens */
  name: string;
  /** in one sentence */
  breaks: string;
  /** the file with the bug */
  file: string;
  /** occurs in the file exactly once */
  from: string;
  to: string;
  /** the file with the test */
  testFile: string;
  /** the name of the test, without those of its suites */
  test: string;
  /** of code that `npm run schedules` runs: true if its schedules find the bug too, else why they do not, in a sentence */
  schedules?: true | string;
}

/** The text of the file with the bug. @throws where the text to replace is not there exactly once */
export function mutate(text: string, { file, from, to }: Pick<Mutant, 'file' | 'from' | 'to'>): string {
  const parts = text.split(from);
  if (parts.length === 2) return parts.join(to);
  throw new Error(
    `the text to replace is ${parts.length - 1} times in ${file}, not once. The code has changed: write the mutant anew.`,
  );
}

const opening = /\b(?:it|test)\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g;

/** Whether a test file has a test of this name; in the name of a template any text can be. */
export function hasTest(text: string, name: string): boolean {
  return text.matchAll(opening).some(([, single, double, template]) => {
    const literal = single ?? double;
    if (literal !== undefined) return literal.replaceAll(/\\(.)/g, '$1') === name;
    const parts = template!.split(/\$\{[^}]*\}/).map((part) => RegExp.escape(part));
    return new RegExp(`^${parts.join('.*')}$`).test(name);
  });
}

/** What of a mutant no longer fits the project, in sentences. */
export function faultsOf(root: string, mutant: Mutant): string[] {
  const { file, testFile, test, from, to } = mutant;
  const missing = [file, testFile].filter((path) => !existsSync(join(root, path)));
  if (missing.length > 0) return missing.map((path) => `there is no ${path} any more`);
  const faults: string[] = [];
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  try {
    mutate(read(file), mutant);
  } catch (error) {
    faults.push((error as Error).message);
  }
  if (from === to) faults.push('it changes nothing');
  if (!hasTest(read(testFile), test)) faults.push(`${testFile} has no test "${test}"`);
  return faults;
}
