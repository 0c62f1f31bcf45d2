import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

import type { Change } from './changelog.ts';

export interface Described {
  /** the folder of the chart */
  folder: string;
  version: string;
  license: string;
  /** the address of the sources */
  repository: string;
  changes: Change[];
  /** the images that its templates use by default */
  images: string[];
}

/** The annotations of a Chart.yaml for Artifact Hub: https://artifacthub.io/docs/topics/annotations/helm/ */
export function annotationsOf({ folder, version, license, repository, changes, images }: Described) {
  const kinds = kindsIn(folder);
  const all: Record<string, string | false> = {
    license,
    category: 'streaming-messaging',
    prerelease: String(version.includes('-')),
    containsSecurityUpdates: String(changes.some(({ kind }) => kind === 'security')),
    changes: changes.length > 0 && stringify(changes),
    images: stringify(images.map((image) => ({ name: image.replace(/^.*\/|[:@].*$/g, ''), image }))),
    links: stringify([{ name: 'source', url: repository }]),
    operator: String(kinds.length > 0),
    crds: kinds.length > 0 && stringify(kinds),
  };
  const present = Object.entries(all).filter(([, value]) => value !== false);
  return Object.fromEntries(present.map(([name, value]) => [`artifacthub.io/${name}`, value as string]));
}

interface Definition {
  metadata: { name: string };
  spec: {
    names: { kind: string };
    versions: { name: string; storage: boolean; schema: { openAPIV3Schema: { description?: string } } }[];
  };
}

/** The kinds that a chart installs. */
function kindsIn(folder: string) {
  return globSync('files/crds/*.yaml', { cwd: folder })
    .toSorted()
    .map((file) => {
      const { metadata, spec } = parse(readFileSync(join(folder, file), 'utf8')) as Definition;
      const stored = spec.versions.find(({ storage }) => storage)!;
      const { kind } = spec.names;
      const description = stored.schema.openAPIV3Schema.description ?? kind;
      return { kind, version: stored.name, name: metadata.name, displayName: kind, description };
    });
}
