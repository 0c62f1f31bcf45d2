import { PlatformError } from '#platform/errors';
import type { DecodeEvent, ReceivedEvent } from '#platform/contract';
import type { IncomingMessage } from '#platform/kafka';
import { SpanKind, failSpan, isSampled, startSpan, traceparentOf } from '#platform/telemetry';
import type { Span } from '#platform/telemetry';

/** Why a message is given up, after how many attempts. */
export interface Failure {
  reason: string;
  attempts: number;
  /** the code of the error: of the catalogue, or an SQLSTATE */
  code?: string | undefined;
  /** the dead letter cannot hold the message, and says only where it is */
  isReference?: boolean;
}

/** A message on its way through the inbox. */
export interface Item {
  message: IncomingMessage;
  /** undefined where the message is not an event: no retry helps; without a failure, it is a tombstone */
  event: ReceivedEvent | undefined;
  /** why the message is given up: it becomes a dead letter, and the handler does not get it */
  failure: Failure | undefined;
  /** present where its trace is sampled */
  span: Span | undefined;
  /** its key has a dead letter: it waits behind that one, and the handler does not get it */
  isWaiting?: boolean;
  /** of its key, where the order of keys is kept and matters now */
  keyHash?: Buffer | undefined;
}

/** Whether the handler gets it. */
export const isHandled = ({ event, failure, isWaiting }: Item) => event !== undefined && !failure && !isWaiting;

/**
 * Decodes a message. One without a value is a tombstone, which a compacted topic keeps in place of what was deleted; the
 * inbox skips it, because a deletion is an event of its own. What stands for records that nobody can read becomes a dead letter by
 * reference. Where its trace is sampled, it gets a span, and the event's
 * `traceparent` names this span as the parent of its effects.
 * @param isTraced false: no span
 */
export function toItem(
  message: IncomingMessage,
  group: string,
  decode: DecodeEvent<IncomingMessage>,
  isTraced = true,
): Item {
  if (message.unreadable) return { message, event: undefined, failure: unreadableOf(message), span: undefined };
  const { headers } = message;
  const span = isTraced ? startProcessing(message, headers, group) : undefined;
  try {
    const event = decode(message, headers);
    if (span) event.traceparent = traceparentOf(span);
    return { message, event, failure: undefined, span };
  } catch (error) {
    if (isTombstone(message)) return { message, event: undefined, failure: undefined, span };
    return { message, event: undefined, failure: failureOf(error, 1), span };
  }
}

function unreadableOf({ offset, unreadable }: IncomingMessage): Failure {
  const { last, error } = unreadable!;
  const reason = `the records from offset ${offset} to ${last} cannot be read: ${error.message}`;
  return { ...failureOf(error, 1), reason: reason.slice(0, maxReason), isReference: true };
}

/** Whether a message has no value at all; an empty one is no tombstone. */
export const isTombstone = ({ value }: Pick<IncomingMessage, 'value'>) => value === null;

function startProcessing(message: IncomingMessage, headers: Record<string, string>, group: string): Span | undefined {
  const parent = headers['traceparent'];
  if (!isSampled(parent)) return undefined;
  const { topic, partition, offset, key } = message;
  return startSpan(`process ${topic}`, {
    kind: SpanKind.CONSUMER,
    parent,
    attributes: {
      'messaging.system': 'kafka',
      'messaging.operation.type': 'process',
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': String(partition),
      'messaging.kafka.offset': Number(offset),
      'messaging.kafka.message.key': key ?? '',
      'messaging.message.id': headers['ce_id'] ?? '',
      'messaging.consumer.group.name': group,
    },
  });
}

/** Ends the span of an item that is committed, or, with an error, of one that is not. */
export function endItem({ span, failure }: Item, error?: Error): void {
  if (!span) return;
  if (error) failSpan(span, error);
  else if (failure) failSpan(span, new PlatformError('ERR_INBOX_MESSAGE_GIVEN_UP', failure.reason));
  else span.end();
}

/** the longest reason */
export const maxReason = 1_000;

export function failureOf(error: unknown, attempts: number): Failure {
  return { reason: reasonOf(error), attempts, code: codeOf(error) };
}

/** The code of an error or of its cause: of the catalogue, or an SQLSTATE. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && code !== '' ? code.slice(0, 100) : codeOf(error.cause);
}

/** The text of an error that a dead letter keeps. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, maxReason);
}
