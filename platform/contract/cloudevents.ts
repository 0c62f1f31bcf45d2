import { Compile } from 'typebox/compile';
import { PlatformError } from '#platform/errors';
import type { EventTypes } from './contract.ts';

/** An event to publish, with the attributes of CloudEvents 1.0. `data` is JSON text. */
export interface EventEnvelope {
  id: string;
  type: string;
  source: string;
  subject: string;
  time: Date;
  traceparent?: string | undefined;
}

/** A consumed event. */
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

/** Thrown for a message that is not an event of the contract: no retry helps. */
export class InvalidEvent extends PlatformError {
  override name = 'InvalidEvent';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_EVENT_INVALID', message, options);
  }
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

/** The parts of a Kafka message that make an event. */
export interface Message {
  topic: string;
  partition: number;
  offset: bigint;
  key: string | null;
  value: Buffer | null;
  headers: Record<string, string>;
}

/** Decodes the data of an event from the value of a message. @throws InvalidEvent if it cannot */
export type ReadData<M extends Message = Message> = (message: M, type: string) => unknown;

/**
 * Decodes a Kafka message into an event.
 * @param headers the headers of the message, if they are decoded already
 * @throws InvalidEvent if a required attribute is missing, or the data cannot be decoded
 */
export type DecodeEvent<M extends Message = Message> = (message: M, headers?: Record<string, string>) => ReceivedEvent;

/** The characters that CloudEvents does not allow in attributes (1.0, "Type System"), and PostgreSQL partly cannot store. */
const control = /\p{Cc}/u;

/** The header `traceparent`; undefined where it is none, so that the event begins a trace (W3C Trace Context, 3.2). */
function traceparentIn({ traceparent }: Record<string, string>): string | undefined {
  return traceparent?.length === 55 && !control.test(traceparent) ? traceparent : undefined;
}

/** Makes a decoder of events in binary mode. @param read decodes the data of an event from the value of a message */
export function createDecoder<M extends Message>(read: ReadData<M>): DecodeEvent<M> {
  return (message, headers = message.headers) => {
    const id = headers['ce_id'];
    const type = headers['ce_type'];
    const source = headers['ce_source'];
    if (!id || !type || !source) {
      throw new InvalidEvent('the headers ce_id, ce_type and ce_source are required');
    }
    const subject = headers['ce_subject'] ?? '';
    if (control.test(id) || control.test(type) || control.test(source) || control.test(subject))
      throw new InvalidEvent('a header ce_id, ce_type, ce_source or ce_subject has a control character');
    const time = headers['ce_time'] === undefined ? Number.NaN : Date.parse(headers['ce_time']);
    if (Number.isNaN(time)) throw new InvalidEvent('the header ce_time is no time');
    const data = read(message, type);
    return {
      id,
      type,
      source,
      subject,
      time,
      data,
      topic: message.topic,
      partition: message.partition,
      offset: message.offset,
      key: message.key,
      traceparent: traceparentIn(headers),
    };
  };
}

/** Decodes the data of an event as JSON, without a check. */
export function readJson({ value }: Pick<Message, 'value'>): unknown {
  if (!value) throw new InvalidEvent('the value is empty');
  try {
    return JSON.parse(value.toString());
  } catch (cause) {
    throw new InvalidEvent('the value is not JSON', { cause });
  }
}

/**
 * Makes a decoder that checks the data against the contracts. It does not check unknown types, because a newer producer can
 * send types that an older consumer ignores.
 */
export function contractDecoder(events: EventTypes): DecodeEvent {
  const validators = new Map<string, ReturnType<typeof Compile>>();

  function validatorOf(type: string) {
    const known = validators.get(type);
    if (known || !Object.hasOwn(events, type)) return known;
    const validator = Compile(events[type]!.schema);
    validators.set(type, validator);
    return validator;
  }

  return createDecoder((message, type) => {
    const data = readJson(message);
    const validator = validatorOf(type);
    if (validator && !validator.Check(data)) {
      const faults = validator.Errors(data).map((fault) => `${fault.instancePath || 'data'} ${fault.message}`);
      throw new InvalidEvent(`the data does not fit ${type}: ${faults.join('; ')}`);
    }
    return data;
  });
}
