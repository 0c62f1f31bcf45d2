import { PlatformError } from '#platform/errors';
import type { DecodeEvent, ReceivedEvent } from '#platform/contract';
import type { IncomingMessage } from '#platform/kafka';
import { SpanKind, failSpan, isSampled, startSpan, traceparentOf } from '#platform/telemetry';
import type { Span } from '#platform/telemetry';

/** A message on its way through the inbox. */
export interface Item {
  message: IncomingMessage;
  /** undefined where the message is no event, which no retry mends */
  event: ReceivedEvent | undefined;
  /** why it is given up; then it goes to the dead letters instead of the handler */
  fault: { reason: string; attempts: number } | undefined;
  /** where its trace is recorded */
  span: Span | undefined;
}

/**
 * Reads a message. Under a sampled trace it gets a span, which the event's `traceparent` names as the parent of effects.
 * @param isTraced false: it gets none
 */
export function toItem(
  message: IncomingMessage,
  group: string,
  decode: DecodeEvent<IncomingMessage>,
  isTraced = true,
): Item {
  const { headers } = message;
  const span = isTraced ? startProcessing(message, headers, group) : undefined;
  try {
    const event = decode(message, headers);
    if (span) event.traceparent = traceparentOf(span);
    return { message, event, fault: undefined, span };
  } catch (error) {
    return { message, event: undefined, fault: { reason: reasonOf(error), attempts: 1 }, span };
  }
}

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

/** Ends the span of an item whose outcome is committed, or that ends here without one. */
export function endItem({ span, fault }: Item, error?: Error): void {
  if (!span) return;
  if (error) failSpan(span, error);
  else if (fault) failSpan(span, new PlatformError('ERR_INBOX_MESSAGE_GIVEN_UP', fault.reason));
  else span.end();
}

const maxReason = 1_000;

/** An error as a dead letter keeps it. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, maxReason);
}
