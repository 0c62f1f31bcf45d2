import type { ConfigMap } from '../informers.ts';
import { managedBy } from '../labels.ts';

/**
 * The ConfigMaps that analytics mounts as one folder, with one file for each query. One holds 1 MiB at most, and a change of a query
 * writes its whole ConfigMap: several are needed for thousands of queries, and let each write be a small one.
 */
export const configMapNames: readonly string[] = [
  'stream-queries',
  ...Array.from({ length: 7 }, (_, i) => `stream-queries-${i + 2}`),
];

/** A new file goes to a ConfigMap with less than this; one that is there stays, up to the limit of Kubernetes and its metadata. */
const fillBytes = 512 * 1024;
const maxBytes = 900 * 1024;

const fileOf = (query: string) => `${query}.yaml`;

/**
 * Where the files of the queries go.
 * @param texts the file of each query
 * @param before the files in each ConfigMap
 * @returns the files of each ConfigMap, and the queries that do not fit into any
 */
export function queryFiles(
  texts: ReadonlyMap<string, string>,
  before: readonly (Readonly<Record<string, string>> | undefined)[] = [],
): { data: Record<string, string>[]; overflow: Set<string> } {
  const places = new Map(before.flatMap((files, place) => Object.keys(files ?? {}).map((file) => [file, place])));
  const data = configMapNames.map((): Record<string, string> => ({}));
  const bytes = configMapNames.map(() => 0);
  const overflow = new Set<string>();
  const put = (place: number, file: string, content: string, limit: number): boolean => {
    const size = Buffer.byteLength(content) + 2 * file.length; // managedFields has the name once more
    if (bytes[place]! + size > limit) return false;
    bytes[place]! += size;
    data[place]![file] = content;
    return true;
  };
  const homeless: [string, string][] = [];
  for (const [query, content] of [...texts].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const file = fileOf(query);
    const place = places.get(file);
    if (place === undefined || !put(place, file, content, maxBytes)) homeless.push([query, content]);
  }
  for (const [query, content] of homeless) {
    const isPut = configMapNames.some((_, place) => put(place, fileOf(query), content, fillBytes));
    if (!isPut) overflow.add(query);
  }
  return { data, overflow };
}

/**
 * The places of the ConfigMaps in the order in which they are written: a file that moves is in its new ConfigMap before it leaves the other.
 * @param data the files of each ConfigMap, and before that
 */
export function writingOrder(
  data: readonly Readonly<Record<string, string>>[],
  before: readonly (Readonly<Record<string, string>> | undefined)[],
): number[] {
  const isKept = (file: string) => data.some((files) => files[file] !== undefined);
  const loses = (place: number) =>
    Object.keys(before[place] ?? {}).some((file) => data[place]?.[file] === undefined && isKept(file));
  return [...data.keys()].toSorted((a, b) => Number(loses(a)) - Number(loses(b)));
}

export function configMapOf(namespace: string, name: string, data: Record<string, string>): ConfigMap {
  const labels = { ...managedBy, 'app.kubernetes.io/part-of': 'millrace' };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name, labels }, data };
}

/** The file of a query that one of the ConfigMaps has; undefined where none has. */
export function fileIn(maps: readonly (ConfigMap | undefined)[], query: string): string | undefined {
  return maps.map((map) => map?.data?.[fileOf(query)]).findLast((text) => text !== undefined);
}
