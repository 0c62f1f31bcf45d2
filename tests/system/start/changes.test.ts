// Tests a platform of `npm start` whose sources change, with debuggers, and with a service of another clone.
import { rmSync } from 'node:fs';
import { after, describe } from 'node:test';

import { makeClone } from '#test/npm-start.ts';
import { allowSeconds } from '#test/time-limit.ts';
import { inspectTests } from './inspect.ts';
import { onlyTests } from './only.ts';
import { startedPlatform } from './platform.ts';
import { reloadTests } from './reload.ts';

allowSeconds(600); // it starts the whole platform, and its services many times

describe('npm start', () => {
  const clone = makeClone();
  const platform = startedPlatform(clone, ['--inspect', 'orders']);
  after(() => rmSync(clone, { recursive: true }));

  describe('when sources change', () => reloadTests(platform));
  describe('with --inspect', () => inspectTests(platform));
  describe('with --only', () => onlyTests(platform));
});
