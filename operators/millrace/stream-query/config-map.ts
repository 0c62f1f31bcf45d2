import type { ConfigMap } from '../informers.ts';
import { managedBy } from '../labels.ts';

/** The ConfigMap that analytics mounts: a file a query. */
export const configMapName = 'stream-queries';

/** A ConfigMap may have 1 MiB; the rest is for its metadata. */
const maxBytes = 900 * 1024;

const fileOf = (query: string) => `${query}.yaml`;

/**
 * The files of the queries. One that has become invalid keeps the file that was accepted before, so that a slip does not
 * stop an alert.
 * @param texts the file of each query; undefined where the query is not valid
 * @param before the files of now
 * @returns the files, and the queries for which there is no room
 */
export function queryFiles(
  texts: ReadonlyMap<string, string | undefined>,
  before: Record<string, string> = {},
): { data: Record<string, string>; left: Set<string> } {
  const data: Record<string, string> = {};
  const left = new Set<string>();
  let bytes = 0;
  for (const [query, text] of [...texts].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const file = fileOf(query);
    const content = text ?? before[file];
    if (content === undefined) continue;
    const size = Buffer.byteLength(content) + 2 * file.length; // the name is in the account of fields, too
    if (bytes + size > maxBytes) left.add(query);
    else {
      bytes += size;
      data[file] = content;
    }
  }
  return { data, left };
}

export function configMapOf(namespace: string, data: Record<string, string>): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace, name: configMapName, labels: { ...managedBy, 'app.kubernetes.io/part-of': 'millrace' } },
    data,
  };
}

/** Whether the file of a query that is not valid any more is the one that was accepted before. */
export function keepsEarlier(query: string, map: ConfigMap | undefined): boolean {
  return map?.data?.[fileOf(query)] !== undefined;
}
