// Makes docs/errors.md from the catalogues of errors. `npm run check` fails if the file differs from the catalogues, if no
// code uses an error code, and if production code throws an error without a code; `--write` writes the file.
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { platformErrors } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';
import { streamsErrors } from '#streams/errors';
import { operatorErrors } from '../operators/millrace/errors.ts';
import { runtimeErrors } from '../operators/runtime/catalogue.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const file = join(root, 'docs/errors.md');

const catalogues: [title: string, source: string, errors: ErrorCatalogue][] = [
  ['The platform', 'platform/errors/catalogue.ts', platformErrors],
  ['Stream queries', 'streams/errors/catalogue.ts', streamsErrors],
  ['The operator', 'operators/millrace/errors.ts', operatorErrors],
  ['The operator runtime', 'operators/runtime/catalogue.ts', runtimeErrors],
  ...(await Promise.all(globSync('services/*/errors.ts', { cwd: root }).toSorted().map(catalogueOf))),
];

/** The catalogue of a service: `services/orders/errors.ts` exports `ordersErrors`. */
async function catalogueOf(source: string): Promise<[title: string, source: string, errors: ErrorCatalogue]> {
  const name = basename(dirname(source));
  const catalogue = `${name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())}Errors`;
  const module = (await import(pathToFileURL(join(root, source)).href)) as Record<string, ErrorCatalogue | undefined>;
  return [name[0]!.toUpperCase() + name.slice(1), source, module[catalogue] ?? {}];
}

const intro = `# Errors

Every error of Millrace has a code. Logs have it in \`err.code\`, and its cause in \`err.stack\`; for a 502, 503 or 504, in \`code\` and \`reason\`. Responses of
the API name their problem by its \`type\` instead. \`npm run errors\` writes this page from the catalogues that it names.
`;

function pageOf(): string {
  const sections = catalogues.map(([title, source, errors]) => {
    const entries = Object.entries(errors).map(
      ([code, { means, action }]) => `### ${code}\n\n${means}\n\n**What to do:** ${action}\n`,
    );
    return `## ${title}\n\nFrom [${source}](../${source}).\n\n${entries.join('\n')}`;
  });
  return [intro, ...sections].join('\n');
}

const isProduction = (path: string) => !/\.test\.ts$|\/testing(\.ts$|\/)|crds\/generate/.test(path);
const sources = globSync('{platform,streams,operators,services}/**/*.ts', { cwd: root })
  .filter(isProduction)
  .toSorted()
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

/** The mistakes in the use of errors, a sentence each. */
function faultsOf(): string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const [, source, errors] of catalogues) {
    for (const code of Object.keys(errors)) {
      if (seen.has(code)) faults.push(`${source}: ${code} is in another catalogue, too`);
      seen.add(code);
      if (!sources.some(({ text }) => text.includes(`'${code}'`))) faults.push(`${source}: nothing throws ${code}`);
    }
  }
  for (const { path, text } of sources) {
    if (path === 'platform/errors/coded-error.ts') continue;
    for (const [i, line] of text.split('\n').entries()) {
      if (/\bnew (Type|Range)?Error\(|\bclass \w+ extends Error\b/.test(line)) {
        faults.push(`${path}:${i + 1}: this error has no code: use the class of its catalogue, such as PlatformError`);
      }
    }
  }
  return faults;
}

const page = pageOf();
if (process.argv.includes('--write')) {
  writeFileSync(file, page);
  console.log(`${file} is written`);
} else {
  const faults = faultsOf();
  if (readFileSync(file, 'utf8') !== page)
    faults.push('docs/errors.md differs from the catalogues: npm run errors writes it');
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) process.exitCode = 1;
  else console.log('docs/errors.md matches the catalogues of errors');
}
