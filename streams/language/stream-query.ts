import type { ReceivedEvent } from '#platform/contract';
import type { Severity } from '#streams/contract';
import type { Expression, Row } from './expression.ts';
import type { Message } from './message.ts';

export interface Source {
  topic: string;
  /** undefined: every type */
  types: readonly string[] | undefined;
}

/** Windows in event time; tumbling and hopping ones are aligned to 1970-01-01T00:00:00Z. Durations in milliseconds. */
export interface WindowSpec {
  kind: 'tumbling' | 'hopping' | 'session';
  /** of a session: the gap, which is also the size of a session with one event */
  size: number;
  /** the time from one start to the next: the size of tumbling windows; sessions start with their events */
  advance: number;
  grace: number;
  retention: number;
}

export interface Aggregate {
  name: string;
  kind: 'count' | 'sum' | 'min' | 'max' | 'avg' | 'distinct' | 'value';
  /** undefined for count */
  of: Expression<ReceivedEvent> | undefined;
  /** decimal places of an average */
  scale: number;
  /** of distinct: how many texts a window stores before they become a sketch; else 0 */
  exactUpTo: number;
}

export interface Emission {
  to: string;
  on: 'change' | 'close';
  everyMs: number;
}

export interface AlertRule {
  severity: Severity;
  message: Message;
  threshold: number | undefined;
}

/** A checked stream query with compiled expressions. */
export interface StreamQuery {
  name: string;
  from: readonly Source[];
  where: Expression<ReceivedEvent> | undefined;
  keyBy: Expression<ReceivedEvent> | undefined;
  /** undefined: the time of the event */
  timestamp: Expression<ReceivedEvent> | undefined;
  /** undefined: the query has no windows, and handles each event alone */
  window: WindowSpec | undefined;
  select: readonly Aggregate[];
  having: Expression<Row> | undefined;
  emit: Emission | undefined;
  alert: AlertRule | undefined;
  /** the window as text for people, `tumbling 5m`; null without one */
  windowText: string | null;
  /** the YAML of the query */
  definition: string;
  /** a hash of everything that decides the content of windows; another fingerprint needs new windows */
  fingerprint: string;
}
