import { Compile } from 'typebox/compile';
import { eventTypes } from './events.ts';

/** An event to be published, in CloudEvents 1.0 terms. `data` is JSON text already. */
export interface EventEnvelope {
  id: string;
  type: string;
  source: string;
  subject: string;
  time: Date;
  traceparent?: string | undefined;
}

/** An event as a consumer gets it. */
export interface ReceivedEvent {
  id: string;
  type: string;
  source: string;
  subject: string;
  /** `ce_time` in milliseconds since 1970 */
  time: number;
  data: unknown;
  topic: string;
  partition: number;
  offset: bigint;
  key: string | null;
  traceparent: string | undefined;
}

/** A message that is not an event of the contract: no retry will mend it. */
export class InvalidEvent extends Error {
  override name = 'InvalidEvent';
}

/** The headers of the CloudEvents Kafka binding in binary mode. */
export function encodeHeaders(event: EventEnvelope): Record<string, string> {
  const headers: Record<string, string> = {
    ce_specversion: '1.0',
    ce_id: event.id,
    ce_type: event.type,
    ce_source: event.source,
    ce_subject: event.subject,
    ce_time: event.time.toISOString(),
    'content-type': 'application/json',
  };
  if (event.traceparent) headers['traceparent'] = event.traceparent;
  return headers;
}

const validators = new Map<string, { Check(value: unknown): boolean; Errors(value: unknown): { message: string }[] }>();

function validatorOf(type: string) {
  let validator = validators.get(type);
  if (!validator && Object.hasOwn(eventTypes, type)) {
    validator = Compile(eventTypes[type as keyof typeof eventTypes].schema) as never;
    validators.set(type, validator!);
  }
  return validator;
}

/** What of a Kafka message makes an event. */
interface Message {
  topic: string;
  partition: number;
  offset: bigint;
  key: string | null;
  value: Buffer | null;
  headers: Record<string, string>;
}

/**
 * Reads a Kafka message as an event and checks its data against the contract. A type that the contract does not know
 * passes unchecked: newer producers may send what an older consumer ignores.
 * @param headers those of the message, where they have been read already
 * @param read makes the event's data of the message's value; default: as JSON that fits the contract
 * @throws InvalidEvent where a required attribute is missing, the value is no JSON, or the data breaks the contract.
 */
export function decodeEvent<M extends Message>(
  message: M,
  headers = message.headers,
  read: (message: M, type: string) => unknown = readData,
): ReceivedEvent {
  const id = headers['ce_id'];
  const type = headers['ce_type'];
  const source = headers['ce_source'];
  if (!id || !type || !source) {
    throw new InvalidEvent('the headers ce_id, ce_type and ce_source are required');
  }
  const time = headers['ce_time'] === undefined ? Number.NaN : Date.parse(headers['ce_time']);
  if (Number.isNaN(time)) throw new InvalidEvent('the header ce_time is no time');
  const data = read(message, type);
  return {
    id,
    type,
    source,
    subject: headers['ce_subject'] ?? '',
    time,
    data,
    topic: message.topic,
    partition: message.partition,
    offset: message.offset,
    key: message.key,
    traceparent: headers['traceparent'],
  };
}

function readData({ value }: Pick<Message, 'value'>, type: string): unknown {
  if (!value) throw new InvalidEvent('the value is empty');
  let data: unknown;
  try {
    data = JSON.parse(value.toString());
  } catch (cause) {
    throw new InvalidEvent('the value is not JSON', { cause });
  }
  const validator = validatorOf(type);
  if (validator && !validator.Check(data)) {
    const faults = validator.Errors(data).map((fault) => {
      const { instancePath } = fault as unknown as { instancePath: string };
      return `${instancePath || 'data'} ${fault.message}`;
    });
    throw new InvalidEvent(`the data does not fit ${type}: ${faults.join('; ')}`);
  }
  return data;
}
