import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { encodeHeaders } from '#platform/contract';
import type { ReceivedEvent, Release } from '#platform/contract';
import { decodeEvent } from './index.ts';

/** A folder with the contract of each release, VERSION.json, and recorded events of it, VERSION.jsonl. */
export const releasesFolder = new URL('./releases/', import.meta.url);

/** An event as a line of a recording, which is a line of `npm run query -- dump`. */
export interface RecordedEvent extends Omit<ReceivedEvent, 'time' | 'offset'> {
  time: string;
  offset: number;
}

/** A release with the events that were recorded when it was current. */
export interface RecordedRelease extends Release {
  recorded: RecordedEvent[];
}

/** All releases, oldest first. */
export function readReleases(): RecordedRelease[] {
  return readdirSync(releasesFolder)
    .filter((name) => name.endsWith('.json'))
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((name) => ({
      ...(JSON.parse(readFileSync(new URL(name, releasesFolder), 'utf8')) as Release),
      recorded: readRecording(new URL(`${name}l`, releasesFolder)),
    }));
}

/** The lines of a recording; none if there is no such file. */
export function readRecording(file: URL): RecordedEvent[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as RecordedEvent);
}

/** Decodes a recorded event as the present consumers do. @throws InvalidEvent if it does not fit the present contract */
export function decodeRecorded({ data, offset, ...event }: RecordedEvent): ReceivedEvent {
  const headers = encodeHeaders({ ...event, time: new Date(event.time) });
  return decodeEvent({ ...event, offset: BigInt(offset), value: Buffer.from(JSON.stringify(data)), headers });
}
