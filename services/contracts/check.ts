// Compares the contract with that of the last release (release.json); `--release` releases the present contract.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { contracts } from './index.ts';
import { currentRelease, releaseBreaks } from '#platform/contract';
import type { Release } from '#platform/contract';

const file = fileURLToPath(new URL('./release.json', import.meta.url));
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const current = currentRelease(contracts, version);

if (process.argv.includes('--release')) {
  writeFileSync(file, `${JSON.stringify(current, null, 1)}\n`);
  console.log(`later contracts are compared with ${version}`);
} else {
  const last = JSON.parse(readFileSync(file, 'utf8')) as Release;
  const found = releaseBreaks(last, current);
  if (found.length > 0) {
    console.error(`The contract would break readers of ${last.version}:\n  ${found.join('\n  ')}`);
    process.exit(1);
  }
  const events = Object.keys(current.events).length;
  console.log(
    `The contract (${events} events, ${Object.keys(current.operations).length} operations) fits ${last.version}`,
  );
}
