// Writes crds/*.yaml and the tables of docs/operator.md from the types in api/. A test tells when they differ.
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { format } from 'prettier';
import { stringify } from 'yaml';
import { definitions } from '../api/kinds.ts';
import { crdOf } from './crd.ts';
import { fieldsTable } from './fields.ts';

/** Kubernetes reads YAML 1.1, in which an unquoted `on` is true. */
const yaml = { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false } as const;

const docs = new URL('../../../docs/operator.md', import.meta.url);

/** The files that are made, with what they are to hold. */
export async function generatedFiles(): Promise<{ url: URL; text: string }[]> {
  const crds = definitions.map((definition) => ({
    url: new URL(`${definition.plural}.yaml`, import.meta.url),
    text: `# Made from operators/millrace/api by npm run crds.\n${stringify(crdOf(definition), yaml)}`,
  }));
  let text = readFileSync(docs, 'utf8');
  for (const definition of definitions) {
    const place = new RegExp(`(<!-- fields of ${definition.kind} -->)[^]*?(<!-- end -->)`);
    if (!place.test(text)) throw new Error(`docs/operator.md has no place for the fields of ${definition.kind}`);
    text = text.replace(place, (_, begin: string, end: string) => `${begin}\n\n${fieldsTable(definition)}\n\n${end}`);
  }
  const options = { parser: 'markdown', printWidth: 120, singleQuote: true };
  return [...crds, { url: docs, text: await format(text, options) }];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { url, text } of await generatedFiles()) writeFileSync(url, text);
}
