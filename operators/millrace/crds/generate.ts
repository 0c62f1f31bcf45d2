// Makes the CRDs of the operator's chart and the tables of docs/operator.md from the types in api/. `npm run charts` writes
// them, and `npm run check` fails where they differ.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { stringify } from 'yaml';
import { definitions } from '../api/kinds.ts';
import { crdOf } from './crd.ts';
import { fieldsTable } from './fields.ts';

/** Kubernetes reads YAML 1.1, in which an unquoted `on` is true. */
const yaml = { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false } as const;

const docs = fileURLToPath(new URL('../../../docs/operator.md', import.meta.url));

/** The folder with the CRDs: a chart can only read its own files. */
export const crdsDir = fileURLToPath(new URL('../../../charts/millrace-operator/files/crds', import.meta.url));

/** What each generated file holds, by its path. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const crds = definitions.map((definition): [string, string] => [
    `${crdsDir}/${definition.plural}.yaml`,
    `# Made from operators/millrace/api by npm run charts.\n${stringify(crdOf(definition), yaml)}`,
  ]);
  let text = readFileSync(docs, 'utf8');
  for (const definition of definitions) {
    const section = new RegExp(`(<!-- fields of ${definition.kind} -->)[^]*?(<!-- end -->)`);
    if (!section.test(text)) throw new Error(`docs/operator.md has no section for the fields of ${definition.kind}`);
    text = text.replace(section, (_, begin: string, end: string) => `${begin}\n\n${fieldsTable(definition)}\n\n${end}`);
  }
  const options = { parser: 'markdown', printWidth: 120, singleQuote: true };
  return new Map([...crds, [docs, await format(text, options)]]);
}
