import { Compile } from 'typebox/compile';
import { PlatformError } from '#platform/errors';
import type { EventTypes } from './contract.ts';
import { memberText } from './json-member.ts';
import { parseEventTime } from './time.ts';
import { Recogniser } from './recogniser.ts';
import type { JsonBytes } from './recogniser.ts';

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
  /** `ce_time`, or else the time of the record, in milliseconds since 1970 */
  time: number;
  data: unknown;
  topic: string;
  partition: number;
  offset: bigint;
  key: string | null;
  traceparent: string | undefined;
  /** whether another source than the service that declares its type has published it; default: no */
  isForeign?: boolean;
}

/**
 * A text that identifies an event among those of all sources: an id is unique within its source alone (CloudEvents 1.0, "id").
 * It is the id alone where the service that declares the type has published the event: short, as almost all events are its own.
 */
export function identityOf({ source, id, isForeign = false }: ReceivedEvent): string {
  return isForeign || id.startsWith('[') ? JSON.stringify([source, id]) : id;
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

/** The value of a message. */
interface Value {
  value: Buffer | null;
  /** the value in the bytes of a fetch */
  valueRange?: JsonBytes | null;
}

/** The parts of a Kafka message that make an event. */
export interface Message extends Value {
  topic: string;
  partition: number;
  offset: bigint;
  key: string | null;
  headers: Record<string, string>;
  /** the time of the record in milliseconds since 1970; default: it has none */
  timestamp?: number;
}

/** Decodes the data of an event from the value of a message. @throws InvalidEvent if it cannot */
export type ReadData = (value: Value, type: string) => unknown;

/**
 * Decodes a Kafka message into an event.
 * @param headers the headers of the message, if they are decoded already
 * @throws InvalidEvent if a required attribute is missing, or the data cannot be decoded
 */
export type DecodeEvent<M extends Message = Message> = (message: M, headers?: Record<string, string>) => ReceivedEvent;

/** The attributes of an event, before they are checked. */
interface Attributes {
  id: unknown;
  type: unknown;
  source: unknown;
  subject: unknown;
  time: unknown;
  traceparent: unknown;
}

const jsonType = 'application/json';
const cloudEvents = /^application\/cloudevents/i;
const cloudEvent = /^application\/cloudevents\+json\s*(;|$)/i;

/**
 * Makes a decoder of events in both modes of the CloudEvents Kafka binding: binary (the attributes are headers) and
 * structured (the value is the whole event in JSON). An event without a time has that of its record.
 * @param read decodes the data of an event from the value of a message
 */
export function createDecoder<M extends Message>(read: ReadData): DecodeEvent<M> {
  return (message, headers = message.headers) => {
    const contentType = headers['content-type'];
    return contentType !== undefined && contentType !== jsonType && cloudEvents.test(contentType)
      ? decodeStructured(message, headers, contentType, read)
      : decodeBinary(message, headers, read);
  };
}

function decodeBinary(message: Message, headers: Record<string, string>, read: ReadData): ReceivedEvent {
  const attributes = {
    id: headers['ce_id'],
    type: headers['ce_type'],
    source: headers['ce_source'],
    subject: headers['ce_subject'],
    time: headers['ce_time'],
    traceparent: headers['traceparent'],
  };
  return toEvent(message, attributes, 'the headers ce_id, ce_type and ce_source', message, read);
}

function decodeStructured(
  message: Message,
  headers: Record<string, string>,
  contentType: string,
  read: ReadData,
): ReceivedEvent {
  if (!cloudEvent.test(contentType)) throw new InvalidEvent(`events of the format ${contentType} are not supported`);
  const envelope = readJson(message);
  if (typeof envelope !== 'object' || envelope === null || Array.isArray(envelope))
    throw new InvalidEvent('the value is not a CloudEvent');
  const { id, type, source, subject, time, traceparent, data, data_base64 } = envelope as Record<string, unknown>;
  const attributes = { id, type, source, subject, time, traceparent: traceparent ?? headers['traceparent'] };
  let value: Buffer | null = null;
  if (typeof data_base64 === 'string') value = Buffer.from(data_base64, 'base64');
  else if (data !== undefined) value = Buffer.from(memberText(textOf(message), 'data')!);
  return toEvent(message, attributes, 'id, type and source', { value }, read);
}

/** The characters that CloudEvents does not allow in attributes (1.0, "Type System"), and PostgreSQL partly cannot store. */
const disallowed = /[\p{Cc}\p{Cs}]/u;

/** Whether CloudEvents allows an attribute. Most are of plain ASCII, for which a regular expression takes several times as long. */
function isAllowed(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20) return false;
    if (unit >= 0x7f) return !disallowed.test(text);
  }
  return true;
}

/**
 * The most bytes of an id, a type and a source in JSON. A longer one would be a fault at one consumer and none at another, because
 * PostgreSQL can index 2,704 bytes: those of an identity, and what stands beside it.
 */
const maxBytes = 1_024;

const isLong = (text: string) => text.length > maxBytes / 4 && Buffer.byteLength(JSON.stringify(text)) > maxBytes;

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

function toEvent(
  message: Message,
  { id, type, source, subject = '', time, traceparent }: Attributes,
  required: string,
  value: Value,
  read: ReadData,
): ReceivedEvent {
  if (!isText(id) || !isText(type) || !isText(source))
    throw frameFault(value) ?? new InvalidEvent(`${required} are required`); // a serialiser with frames writes no such headers
  if (typeof subject !== 'string') throw new InvalidEvent('the subject is not text');
  if (!isAllowed(id) || !isAllowed(type) || !isAllowed(source) || !isAllowed(subject))
    throw new InvalidEvent('the id, type, source or subject has a control character or half of a surrogate pair');
  if (isLong(id) || isLong(type) || isLong(source))
    throw new InvalidEvent(`the id, type or source takes more than ${maxBytes} bytes in JSON`);
  const { topic, partition, offset, key } = message;
  return {
    id,
    type,
    source,
    subject,
    time: timeOf(time, message),
    data: read(value, type),
    topic,
    partition,
    offset,
    key,
    // one that is none is ignored (W3C Trace Context, 3.2)
    traceparent:
      typeof traceparent === 'string' && traceparent.length === 55 && isAllowed(traceparent) ? traceparent : undefined,
    isForeign: false,
  };
}

/** the last time of a Date, in milliseconds since 1970 */
const lastTime = 8.64e15;

function timeOf(time: unknown, message: Message): number {
  if (time === undefined || time === null) {
    const { timestamp = -1 } = message;
    if (timestamp >= 0 && timestamp <= lastTime) return timestamp;
    throw new InvalidEvent('the event has no time, and the time of its record is none');
  }
  const parsed = typeof time === 'string' ? parseEventTime(time) : Number.NaN;
  if (Number.isNaN(parsed)) throw new InvalidEvent('the time of the event (ce_time) is not a time');
  return parsed;
}

/** Decodes JSON, such as the data of an event, without a check of what it says. @throws InvalidEvent */
export function readJson(value: Value): unknown {
  const range = rangeOf(value);
  if (!range) throw new InvalidEvent('the value is empty');
  if (range.end - range.start > maxJsonBytes) throw new InvalidEvent('the value has more than 4 MiB');
  try {
    return JSON.parse(textOf(value));
  } catch (cause) {
    throw frameFault(value) ?? new InvalidEvent('the value is not JSON', { cause });
  }
}

/** What is wrong with a value that has the frame of a Schema Registry. */
function frameFault(value: Value): InvalidEvent | undefined {
  const range = rangeOf(value);
  if (!range || range.bytes[range.start] !== 0 || range.end - range.start <= frameSize) return undefined;
  const schema = range.bytes.readInt32BE(range.start + 1);
  return new InvalidEvent(
    `the value has the frame of a Schema Registry (schema ${schema}): only JSON without a frame is read`,
  );
}

function textOf(value: Value): string {
  const { bytes, start, end } = rangeOf(value)!;
  return bytes.toString('utf8', start, end);
}

/** The most of JSON that is parsed. Of small values it needs thirty times the memory, and a topic takes no more in a record. */
const maxJsonBytes = 4 * 1024 * 1024;

/** The most of JSON whose faults are named: naming them needs hundreds of times the memory where there are many values. */
const maxExplainedBytes = 64 * 1024;

/** The frame of Confluent's Schema Registry: a zero byte and the id of the schema. */
const frameSize = 5;

function rangeOf(message: Value): JsonBytes | null {
  if (message.valueRange) return message.valueRange;
  const { value } = message;
  return value && { bytes: value, start: 0, end: value.length };
}

/**
 * Takes the data of an event, which fits its contract: JSON, and the data itself where it had to be decoded to see that. It may
 * decode it later, or in another way.
 */
type Take = (json: JsonBytes, data?: unknown) => unknown;

/**
 * Makes a decoder that checks the data against the contracts. It does not check unknown types, because a newer producer can
 * send types that an older consumer ignores. An event of an unknown type, or not of the source of its type, is foreign.
 * @param take takes the data; default: it is decoded
 */
export function contractDecoder<M extends Message>(events: EventTypes, take?: Take): DecodeEvent<M> {
  const validators = new Map<string, ReturnType<typeof Compile>>();
  const recognisers = new Map<string, Recogniser>();
  const anyData = new Recogniser();
  const sources = new Map(Object.entries(events).map(([type, { source }]) => [type, source]));

  function validatorOf(type: string) {
    const known = validators.get(type);
    if (known || !Object.hasOwn(events, type)) return known;
    const validator = Compile(events[type]!.schema);
    validators.set(type, validator);
    return validator;
  }

  function recogniserFor(type: string): Recogniser {
    const known = recognisers.get(type);
    if (known) return known;
    if (!Object.hasOwn(events, type)) return anyData;
    const recogniser = new Recogniser(events[type]!.schema);
    recognisers.set(type, recogniser);
    return recogniser;
  }

  const decode = createDecoder<M>((value, type) => {
    if (take) {
      const range = rangeOf(value);
      if (range && recogniserFor(type).recognises(range)) return take(range);
    }
    const data = readJson(value);
    const validator = validatorOf(type);
    if (validator && !validator.Check(data)) {
      const { start, end } = rangeOf(value)!;
      const faults =
        end - start > maxExplainedBytes
          ? ['it is too large to say where']
          : validator.Errors(data).map((fault) => `${fault.instancePath || 'data'} ${fault.message}`);
      throw new InvalidEvent(`the data does not fit ${type}: ${faults.join('; ')}`);
    }
    if (!take) return data;
    recogniserFor(type).learn(data);
    return take(rangeOf(value)!, data);
  });
  return (message, headers) => {
    const event = decode(message, headers);
    event.isForeign = sources.get(event.type) !== event.source;
    return event;
  };
}
