import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** How our own broker runs: in Docker, with its data in a volume, or from its jars, with its data in the data folder. */
export type BrokerKind = 'docker' | 'java';

/** Where a data folder says which kind has run on it. */
const fileOf = (folder: string): string => join(folder, 'kafka.kind');

/**
 * The kind of broker that has the data of a folder; undefined if there is none yet. The other kind would begin with an empty log,
 * which consumers take for topics that were created again: so a folder keeps its kind, whatever comes to or leaves the machine.
 * @param hasVolume whether Docker has a volume of the folder; it decides where no kind is noted, as in a folder of an earlier release
 */
export function kindOfData(folder: string, hasVolume: boolean): BrokerKind | undefined {
  const noted = existsSync(fileOf(folder)) ? readFileSync(fileOf(folder), 'utf8').trim() : '';
  if (noted === 'docker' || noted === 'java') return noted;
  if (hasVolume) return 'docker';
  return existsSync(join(folder, 'kafka', 'meta.properties')) ? 'java' : undefined;
}

/** Notes the kind of the broker that has data in a folder. */
export function noteKind(folder: string, kind: BrokerKind): void {
  writeFileSync(fileOf(folder), `${kind}\n`);
}

/** Lets the next broker of a folder, whose data is deleted, be of any kind. */
export function forgetKind(folder: string): void {
  rmSync(fileOf(folder), { force: true });
}
