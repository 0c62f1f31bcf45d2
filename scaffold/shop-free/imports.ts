import { posix } from 'node:path';

/** The import names of package.json. */
const named: [RegExp, string][] = [
  [/^#(platform|streams)\/(.+\.ts)$/, '$1/$2'],
  [/^#(platform|streams)\/(.+)$/, '$1/$2/index.ts'],
  [/^#contracts\/(.+)$/, 'services/contracts/$1'],
  [/^#local\/(.+)$/, 'local/$1'],
  [/^#runtime\/(.+)$/, 'operators/runtime/$1'],
  [/^#test\/(.+)$/, 'tests/support/$1'],
];

/** The files of the project that a file imports, types included; generated Prisma clients count as present. */
export function importsOf(path: string, text: string): string[] {
  const statement = /^(?:import|export)\b[^;']*?\bfrom '([^']+)'|\bimport\('([^']+)'\)/gm;
  const specifiers = [...text.matchAll(statement)].map(([, from, call]) => from ?? call!);
  return specifiers.flatMap((specifier) => {
    if (specifier.startsWith('.')) return [posix.join(posix.dirname(path), specifier)];
    const rule = named.find(([name]) => name.test(specifier));
    return rule ? [specifier.replace(...rule)] : [];
  });
}
