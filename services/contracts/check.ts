// Compares the contract with the released ones, but for the accepted changes, and tries the recorded events of each release
// on it. `--release DUMP...` releases the present contract, with events from dumps of its topics.
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { acceptedChanges } from './accepted-changes.ts';
import { contracts } from './index.ts';
import { currentRelease, eventBreaks, judgeChanges, releaseBreaks } from '#platform/contract';
import { messageOf } from '#platform/errors';
import { decodeRecorded, readRecording, readReleases, releasesFolder } from './releases.ts';
import type { RecordedEvent, RecordedRelease } from './releases.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const current = currentRelease(contracts, version);
/** a recording has at least so many events of each type, where the dumps have them */
const kept = 3;
/** the most events of one key in a recording */
const keptOfKey = 10;

if (process.argv.includes('--release')) release(process.argv.slice(process.argv.indexOf('--release') + 1));
else check(readReleases());

function release(dumps: readonly string[]): void {
  const events = dumps.flatMap((dump) => readRecording(pathToFileURL(dump)));
  const recorded = selectEvents(events.filter(({ type }) => Object.hasOwn(current.events, type)));
  writeFileSync(new URL(`${version}.json`, releasesFolder), `${JSON.stringify(current, null, 1)}\n`);
  writeFileSync(
    new URL(`${version}.jsonl`, releasesFolder),
    recorded.map((event) => `${JSON.stringify(event)}\n`).join(''),
  );
  console.log(`later contracts are compared with ${version}; ${recorded.length} of its events are recorded`);
  for (const text of notRecorded({ ...current, recorded })) console.log(text);
  if (acceptedChanges.length > 0) console.log('now empty services/contracts/accepted-changes.ts');
}

/** Selects whole lives of keys, until each type has enough events. */
function selectEvents(events: readonly RecordedEvent[]): RecordedEvent[] {
  const counts = new Map<string, number>();
  const lives = Map.groupBy(events, ({ topic, key }) => JSON.stringify([topic, key])).values();
  return [...lives].flatMap((life) => {
    if (life.every(({ type }) => (counts.get(type) ?? 0) >= kept)) return [];
    const selected = life.slice(0, keptOfKey);
    for (const { type } of selected) counts.set(type, (counts.get(type) ?? 0) + 1);
    return selected;
  });
}

/** The types of a release that nobody recorded. */
function notRecorded({ version: of, events, recorded }: RecordedRelease): string[] {
  const types = new Set(recorded.map(({ type }) => type));
  const missing = Object.keys(events).filter((type) => !types.has(type));
  return missing.map((type) => `${of} has no recorded ${type}: pass a dump of its topic to npm run contracts:release`);
}

function notReadable({ version: of, recorded }: RecordedRelease): string[] {
  const reasonOf = (event: RecordedEvent): string[] => {
    try {
      decodeRecorded(event);
      return [];
    } catch (error) {
      return [`the recorded event ${event.id} of ${of}: ${messageOf(error)}`];
    }
  };
  return recorded.flatMap(reasonOf);
}

function check(releases: readonly RecordedRelease[]): void {
  const last = releases.at(-1);
  if (!last) return;
  const earlier = releases.slice(0, -1).flatMap((one) => eventBreaks(one, current));
  const changes = judgeChanges([...earlier, ...releaseBreaks(last, current)], acceptedChanges);
  const broken = [...changes.broken, ...releases.flatMap(notReadable)];
  const found = [
    ...(broken.length > 0 ? [`The contract would break readers of ${last.version}, or does not fit its events:`] : []),
    ...broken.map((text) => `  ${text}`),
    ...changes.stale.map((text) => `services/contracts/accepted-changes.ts accepts what is no change: ${text}`),
    ...releases.flatMap(notRecorded),
  ];
  if (found.length > 0) {
    console.error(found.join('\n'));
    process.exit(1);
  }
  const [events, operations] = [current.events, current.operations].map((all) => Object.keys(all).length);
  const { length } = changes.accepted;
  const butFor = length === 0 ? '' : ` but for ${length} changes that services/contracts/accepted-changes.ts accepts`;
  console.log(`The contract (${events} events, ${operations} operations) fits ${last.version}${butFor}`);
}
