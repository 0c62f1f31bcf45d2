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
  /** of a session: the gap, which is also the session that an event is by itself */
  size: number;
  /** how far apart windows start: the size where they tumble; sessions start where their events do */
  advance: number;
  grace: number;
  retention: number;
}

export interface Figure {
  name: string;
  kind: 'count' | 'sum' | 'min' | 'max' | 'avg' | 'distinct' | 'value';
  /** undefined for count */
  of: Expression<ReceivedEvent> | undefined;
  /** decimal places of an average */
  scale: number;
  /** of distinct: how many texts a window keeps before they become a sketch; else 0 */
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

/** A stream query, checked and with its expressions compiled. */
export interface StreamQuery {
  name: string;
  from: readonly Source[];
  where: Expression<ReceivedEvent> | undefined;
  keyBy: Expression<ReceivedEvent> | undefined;
  /** undefined: the time at which the event happened */
  timestamp: Expression<ReceivedEvent> | undefined;
  /** undefined: every event stands for itself */
  window: WindowSpec | undefined;
  select: readonly Figure[];
  having: Expression<Row> | undefined;
  emit: Emission | undefined;
  alert: AlertRule | undefined;
  /** the window as a person says it, `tumbling 5m`; null without one */
  windowText: string | null;
  /** the YAML that says it */
  definition: string;
  /** everything that decides what a window's figures are; another fingerprint needs other windows */
  fingerprint: string;
}
