import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { ReceivedEvent } from '#platform/contract';
import { createDecoder, parseTime, readJson } from '#platform/contract';
import type { IncomingMessage } from '#platform/kafka';
import { parseExactly } from '#streams/engine';
import { ToolFault } from './fault.ts';

/** A line of a topic dump: a CloudEvent as JSON, and its position in Kafka. */
const Line = Type.Object({
  id: Type.String({ minLength: 1 }),
  type: Type.String({ minLength: 1 }),
  time: Type.String(),
  source: Type.Optional(Type.String()),
  subject: Type.Optional(Type.String()),
  data: Type.Unknown(),
  topic: Type.Optional(Type.String()),
  partition: Type.Optional(Type.Integer({ minimum: 0 })),
  key: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  traceparent: Type.Optional(Type.String()),
});
type Line = Static<typeof Line>;

const validator = Compile(Line);
/** how many faults of a file are shown */
const most = 20;

/**
 * Reads a dump: one event on each line, in the order of the run; it assigns the offsets.
 * @param topic of the events whose line has no topic
 * @throws ToolFault with the lines that are not events
 */
export function readDump(file: string, text: string, topic: string | undefined): ReceivedEvent[] {
  const faults: string[] = [];
  const offsets = new Map<string, bigint>();
  const events: ReceivedEvent[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const read = readLine(line);
    const own = typeof read === 'string' ? undefined : (read.topic ?? topic);
    if (typeof read === 'string') faults.push(`${file}:${i + 1}: ${read}`);
    else if (own === undefined) {
      faults.push(
        `${file}:${i + 1}: the event does not say its topic, and the queries read several: --topic names one`,
      );
    } else {
      const name = `${read.partition ?? 0}:${own}`;
      const offset = offsets.get(name) ?? 0n;
      offsets.set(name, offset + 1n);
      events.push(eventOf(read, own, offset));
    }
  }
  if (faults.length === 0) return events;
  const more = faults.length > most ? [`and ${faults.length - most} more`] : [];
  throw new ToolFault([...faults.slice(0, most), ...more].join('\n'));
}

/** The parsed line, or what is wrong with it. */
function readLine(text: string): Line | string {
  let line: unknown;
  try {
    line = parseExactly(text);
  } catch (error) {
    return `not JSON: ${(error as Error).message}`;
  }
  if (!validator.Check(line)) {
    return validator
      .Errors(line)
      .map(({ instancePath, message }) => `${instancePath.slice(1) || 'an event'} ${message}`)
      .join('; ');
  }
  return parseTime(line.time) === undefined ? `time is no ISO 8601 time: ${line.time}` : line;
}

function eventOf(line: Line, topic: string, offset: bigint): ReceivedEvent {
  const { id, type, source = '', subject = '', data, partition = 0, key = null, traceparent } = line;
  const time = parseTime(line.time)!.getTime();
  return { id, type, source, subject, time, data, topic, partition, offset, key, traceparent };
}

/** Decodes an event, whether it fits a contract or not, and leaves its data as JSON text, with each digit of its numbers. */
const decodeEvent = createDecoder<IncomingMessage>((value) => {
  readJson(value); // it is JSON
  const { bytes, start, end } = value.valueRange ?? { bytes: value.value!, start: 0, end: value.value!.length };
  return bytes.toString('utf8', start, end);
});

/** A message as a line of a dump, without the line break. @throws InvalidEvent if it is not an event */
export function dumpLine(message: IncomingMessage): string {
  const { id, type, source, subject, time, topic, partition, offset, key, traceparent, data } = decodeEvent(message);
  const at = new Date(time).toISOString();
  const trace = traceparent === undefined ? {} : { traceparent };
  const known = { id, type, source, subject, time: at, topic, partition, offset: Number(offset), key, ...trace };
  // in JSON, a line break is never part of a text
  return `${JSON.stringify(known).slice(0, -1)},"data":${(data as string).replaceAll(/[\r\n]+/g, ' ')}}`;
}
