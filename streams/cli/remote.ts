import type { Window } from '#streams/contract';
import { createKafka, readTopic } from '#platform/kafka';
import type { IncomingMessage } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { ToolFault } from './fault.ts';
import { table } from './text.ts';
import { dumpLine } from './topic-dump.ts';

export interface WindowsRequest {
  url: string;
  name: string;
  key?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
  limit?: string | undefined;
}

/** The windows of a query, from the running service. @throws ToolFault */
export async function fetchWindows({ url, name, ...filter }: WindowsRequest): Promise<Window[]> {
  const address = new URL(`/analytics/queries/${encodeURIComponent(name)}/windows`, url);
  for (const [parameter, value] of Object.entries(filter)) {
    if (value !== undefined) address.searchParams.set(parameter, value);
  }
  const answer = await fetch(address, { signal: AbortSignal.timeout(20_000) }).catch((error: unknown) => {
    throw new ToolFault(`${url} does not answer (${reasonOf(error)}). Is analytics running? --url says where.`);
  });
  const body = (await answer.json().catch(() => undefined)) as unknown;
  if (answer.ok) return body as Window[];
  const { detail = answer.statusText, errors = [] } = (body ?? {}) as {
    detail?: string;
    errors?: { field: string; message: string }[];
  };
  throw new ToolFault([`${detail} (${answer.status})`, ...errors.map((e) => `  ${e.field} ${e.message}`)].join('\n'));
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string }; message: string };
  return cause?.code ?? message;
}

/** Windows as text for people. */
export function windowsText(windows: readonly Window[]): string {
  if (windows.length === 0) return 'There are no such windows.';
  const names = [...new Set(windows.flatMap(({ values }) => Object.keys(values)))];
  const rows = windows.map(({ windowStart, windowEnd, key, closed, values, estimates }) => [
    windowStart,
    windowEnd,
    key,
    closed ? 'closed' : 'open',
    ...names.map((name) => (estimates?.includes(name) ? `~${values[name]}` : (values[name] ?? ''))),
  ]);
  return table([['start', 'end', 'key', 'state', ...names], ...rows]);
}

/**
 * Writes the current messages of a topic as lines of a dump, each partition in its order.
 * @returns how many messages it has written, and how many it has skipped because they are not events
 * @throws KafkaUnreachable, or an error if the topic does not exist
 */
export async function dumpTopic(
  brokers: string,
  topic: string,
  write: (line: string) => void,
): Promise<{ written: number; skipped: number }> {
  const log = createLogger('query', 'silent');
  const kafka = createKafka({ brokers: brokers.split(','), clientId: 'query', log });
  try {
    const counts = { written: 0, skipped: 0 };
    const take = (message: IncomingMessage) => {
      try {
        write(dumpLine(message));
        counts.written += 1;
      } catch {
        counts.skipped += 1;
      }
    };
    await readTopic(kafka, {
      topic,
      group: `query-dump-${process.pid}-${Date.now()}`,
      onMessages: (messages) => messages.forEach(take),
    });
    return counts;
  } finally {
    await kafka.close();
  }
}
