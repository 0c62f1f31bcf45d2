import type { ConfigMap } from '../informers.ts';
import { managedBy } from '../labels.ts';

/** The ConfigMap that analytics mounts: one file for each query. */
export const configMapName = 'stream-queries';

/** A ConfigMap may have 1 MiB; the rest is for its metadata. */
const maxBytes = 900 * 1024;

const fileOf = (query: string) => `${query}.yaml`;

/**
 * The files of the queries. A query that has become invalid keeps its last valid file, so that a mistake in a change does not
 * stop an alert.
 * @param texts the file of each query; undefined where the query is not valid
 * @param before the files in the ConfigMap
 * @returns the files, and the queries that do not fit into a ConfigMap
 */
export function queryFiles(
  texts: ReadonlyMap<string, string | undefined>,
  before: Record<string, string> = {},
): { data: Record<string, string>; overflow: Set<string> } {
  const data: Record<string, string> = {};
  const overflow = new Set<string>();
  let bytes = 0;
  for (const [query, text] of [...texts].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const file = fileOf(query);
    const content = text ?? before[file];
    if (content === undefined) continue;
    const size = Buffer.byteLength(content) + 2 * file.length; // managedFields has the name once more
    if (bytes + size > maxBytes) overflow.add(query);
    else {
      bytes += size;
      data[file] = content;
    }
  }
  return { data, overflow };
}

export function configMapOf(namespace: string, data: Record<string, string>): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace, name: configMapName, labels: { ...managedBy, 'app.kubernetes.io/part-of': 'millrace' } },
    data,
  };
}

/** Whether the ConfigMap has a file of the query. */
export function hasFile(map: ConfigMap | undefined, query: string): boolean {
  return map?.data?.[fileOf(query)] !== undefined;
}
