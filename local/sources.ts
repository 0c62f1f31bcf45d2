import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const IMPORT = /^(?:import|export) (?!type )(?:[^'";]*? from )?['"]([^'"]+)['"]/gm;
const LAZY_IMPORT = /\bimport\(['"]([^'"]+)['"]\)/g;
/** How a module names a file that it reads. */
const ASSET = /\bnew URL\(['"]([^'"]+)['"], import\.meta\.url\)/g;
const SOURCE = /\.[cm]?[jt]s$/;

const root = fileURLToPath(new URL('..', import.meta.url));

/** The names that package.json gives to folders: `#streams/*` is any text in place of the star. */
const aliases = Object.entries(
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { imports: Record<string, string> }).imports,
)
  .toSorted(([a], [b]) => b.length - a.length) // as Node does, the longer pattern first
  .map(([pattern, target]) => ({ pattern: pattern.split('*'), target }));

/**
 * The sources of a program: its direct and indirect imports, except types, and the files and folders that its modules
 * read.
 * @param except a folder that does not count
 */
export function sourcesOf(main: string, except?: string): string[] {
  const found = new Set([main]);
  for (const file of found) for (const next of dependenciesOf(file)) if (next !== except) found.add(next);
  return [...found];
}

/** The direct imports of a file, except types and packages, and the files and folders that it reads. */
export function dependenciesOf(file: string): string[] {
  try {
    if (statSync(file).isDirectory()) return readdirSync(file).map((name) => join(file, name));
    if (!SOURCE.test(file)) return [];
    const text = readFileSync(file, 'utf8');
    const imports = [...matches(text, IMPORT), ...matches(text, LAZY_IMPORT)];
    const assets = matches(text, ASSET).map((path) => resolve(dirname(file), path));
    return [...imports.flatMap((specifier) => resolveImport(file, specifier)), ...assets];
  } catch {
    return []; // It does not exist, or not yet.
  }
}

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, found = '']) => found);
}

/** The file that a specifier means; none for packages. */
function resolveImport(file: string, specifier: string): string[] {
  if (specifier.startsWith('.')) return [resolve(dirname(file), specifier)];
  for (const { pattern, target } of aliases) {
    const [prefix = '', suffix = ''] = pattern;
    if (!specifier.startsWith(prefix) || !specifier.endsWith(suffix)) continue;
    return [join(root, target.replace('*', specifier.slice(prefix.length, specifier.length - suffix.length)))];
  }
  return [];
}
