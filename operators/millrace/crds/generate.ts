// Writes crds/*.yaml from the types in api/. A test tells when they differ.
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { definitions } from '../api/kinds.ts';
import { crdOf } from './crd.ts';

/** Kubernetes reads YAML 1.1, in which an unquoted `on` is true. */
const yaml = { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false } as const;

/** The files of the CRDs, with what they are to hold. */
export function crdFiles(): { url: URL; text: string }[] {
  return definitions.map((definition) => ({
    url: new URL(`${definition.plural}.yaml`, import.meta.url),
    text: `# Made from operators/millrace/api by npm run crds.\n${stringify(crdOf(definition), yaml)}`,
  }));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { url, text } of crdFiles()) writeFileSync(url, text);
}
