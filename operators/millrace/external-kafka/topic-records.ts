import type { Api } from '#runtime/api.ts';
import { configMaps } from '../api/kinds.ts';
import type { ConfigMap } from '../informers.ts';
import { managedBy, manager } from '../labels.ts';

/** The ConfigMap that says who has made which topic: Kafka itself cannot say it. */
export const recordsName = 'kafka-topics';

/** Who has made a topic. */
export interface TopicRecord {
  /** `EventService/<name>`, or `StreamQueries` for the topics that only queries declare */
  owner: string;
  /** Kafka's id of the topic; undefined where somebody has written the record, or the brokers have no ids */
  id?: string | undefined;
  /** while nobody knows whether Kafka has made the topic: the `retention.ms` that only this attempt gives it */
  proof?: string | undefined;
}

/** The owner of the topics that stream queries of a namespace emit to, and no service declares. */
export const ofQueries = 'StreamQueries';
/** What a record has in place of an id while nobody knows one. */
const proofPrefix = 'retention.ms=';
const prefix = 'EventService/';
export const ofService = (name: string): string => prefix + name;

/** The service that an owner is; undefined for the queries. */
export const serviceOf = (owner: string): string | undefined =>
  owner.startsWith(prefix) ? owner.slice(prefix.length) : undefined;

/** The records of a namespace by topic. @returns undefined where their ConfigMap does not exist */
export async function readRecords(
  api: Api,
  namespace: string,
  signal: AbortSignal,
): Promise<Map<string, TopicRecord> | undefined> {
  const found = await api.get<ConfigMap>(configMaps, namespace, recordsName, { signal });
  if (!found) return undefined;
  return new Map(
    Object.entries(found.data ?? {}).map(([topic, text]) => {
      const [owner = '', id] = text.trim().split(' ');
      const isProof = id?.startsWith(proofPrefix);
      return [topic, isProof ? { owner, proof: id!.slice(proofPrefix.length) } : { owner, id }] as const;
    }),
  );
}

/** Creates the ConfigMap of the records where there is none, so that people can patch it. */
export async function createRecords(
  api: Api,
  namespace: string,
  signal: AbortSignal,
): Promise<Map<string, TopicRecord>> {
  const labels = { ...managedBy, 'app.kubernetes.io/part-of': 'millrace' };
  const metadata = { namespace, name: recordsName, labels };
  await api.apply(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata }, manager, { signal });
  return new Map();
}

/** Writes or removes the record of one topic; those of others stay as they are. A stop of the operator does not prevent it. */
export async function writeRecord(
  api: Api,
  namespace: string,
  topic: string,
  record: TopicRecord | undefined,
): Promise<void> {
  const proof = record?.proof === undefined ? undefined : proofPrefix + record.proof;
  const text = record ? [record.owner, proof ?? record.id].filter(Boolean).join(' ') : null;
  await api.patch(configMaps, namespace, recordsName, { data: { [topic]: text } }, { manager });
}

/** The command that hands topics over to an owner, for people. */
export function handOver(namespace: string, owner: string, topics: readonly string[]): string {
  const data = Object.fromEntries(topics.map((topic) => [topic, owner]));
  const patch = JSON.stringify({ data });
  return `kubectl --namespace ${namespace} patch configmap ${recordsName} --type merge --patch '${patch}'`;
}
