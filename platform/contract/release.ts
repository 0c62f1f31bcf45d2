import { breaks } from './compatibility.ts';
import type { ContractRegistry, EventType } from './contract.ts';
import { toDocument } from './schema-document.ts';
import type { Json } from './schema-document.ts';

type Origin = Pick<EventType, 'source' | 'topics'>;

/** The schemas of a release, with which the next one is compared. */
export interface Release {
  version: string;
  events: Record<string, Json>;
  /** by type, where events come from and where they are; undefined in a file that an earlier version of Millrace has written */
  origins?: Record<string, Origin>;
  operations: Record<string, { route: string; query: Json; body: Json; responses: Record<string, Json> }>;
}

/** The current contract. */
export function currentRelease({ events, operations }: ContractRegistry, version: string): Release {
  return {
    version,
    events: Object.fromEntries(Object.entries(events).map(([type, { schema }]) => [type, toDocument(schema)])),
    origins: Object.fromEntries(Object.entries(events).map(([type, { source, topics }]) => [type, { source, topics }])),
    operations: Object.fromEntries(
      operations.map((operation) => [
        operation.id,
        {
          route: `${operation.method.toUpperCase()} ${operation.path}`,
          query: operation.query ? toDocument(operation.query) : {},
          body: operation.body ? toDocument(operation.body) : {},
          responses: Object.fromEntries(
            Object.entries(operation.responses).map(([status, { schema }]) => [
              status,
              schema ? toDocument(schema) : {},
            ]),
          ),
        },
      ]),
    ),
  };
}

/**
 * What changes of the events break, a sentence each: for readers of an earlier release, and for the present readers, which read
 * the events of every release in the log.
 */
export function eventBreaks(before: Release, after: Release): string[] {
  return Object.entries(before.events).flatMap(([type, schema]) => {
    const now = after.events[type];
    const what =
      now === undefined
        ? ['the event is gone']
        : [...originBreaks(before.origins?.[type], after.origins?.[type]), ...breaks(schema, now, 'event')];
    return what.map((text) => `event ${type}: ${text}`);
  });
}

/** An event may come to more topics. Its readers read the former ones, and tell it from others by its source and its id. */
function originBreaks(before: Origin | undefined, after: Origin | undefined): string[] {
  if (!before || !after) return [];
  const left = before.topics.filter((topic) => !after.topics.includes(topic));
  const found = left.map((topic) => `is no longer in the topic ${topic}`);
  if (before.source !== after.source) found.push(`changed its source from ${before.source} to ${after.source}`);
  return found;
}

/** What a release breaks for a reader of events or a client of the previous one, a sentence each. */
export function releaseBreaks(before: Release, after: Release): string[] {
  const found = eventBreaks(before, after);
  for (const [id, old] of Object.entries(before.operations)) {
    const now = after.operations[id];
    const what: string[] = [];
    if (now === undefined) what.push('the operation is gone');
    else {
      if (now.route !== old.route) what.push(`moved from ${old.route} to ${now.route}`);
      what.push(...breaks(old.query, now.query, 'received'), ...breaks(old.body, now.body, 'received'));
      for (const [status, schema] of Object.entries(old.responses)) {
        const response = now.responses[status];
        if (response === undefined) what.push(`does not answer ${status} any more`);
        else what.push(...breaks(schema, response, 'sent').map((text) => `answer ${status}: ${text}`));
      }
    }
    found.push(...what.map((text) => `operation ${id}: ${text}`));
  }
  return found;
}
