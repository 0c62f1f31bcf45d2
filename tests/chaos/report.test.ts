import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeResult, isSound, summarize, type SeedResult } from './report.ts';

const sound: SeedResult = {
  seed: 4,
  findings: [],
  stuck: [],
  falseGreens: [],
  unknown: { count: 2, exist: 1 },
  requests: { done: 10, refused: 3, unknown: 2 },
  attempts: { done: 10, refused: 9, unknown: 4 },
  repeatedMails: 1,
  recoveries: [
    { faults: 'kill a', seconds: 3.04, last: 'mails' },
    { faults: 'kill b', seconds: 1, last: 'mails' },
  ],
};
const broken: SeedResult = {
  ...sound,
  seed: 5,
  findings: [
    { kind: 'lost', hop: 'analytics', what: 'a' },
    { kind: 'doubled', hop: 'analytics', what: 'b' },
  ],
  stuck: [{ hop: 'mails', pending: 3, health: '200' }],
  falseGreens: [{ hop: 'mails', service: 'notifications', seconds: 20 }],
  recoveries: [{ faults: 'kill c', seconds: 9, last: 'mails' }],
};

test('the summary counts over all seeds', () => {
  assert.deepEqual(summarize([sound, broken]), {
    seeds: 2,
    lost: 1,
    doubled: 1,
    reordered: 0,
    falseGreens: 1,
    stuck: 1,
    unknown: 4,
    recoverySeconds: { median: 3, max: 9 },
  });
  assert.deepEqual(summarize([]).recoverySeconds, { median: 0, max: 0 });
});

test('a broken seed says how to run it again, a sound one does not', () => {
  const again = 'the command';
  assert.ok(isSound(sound) && !isSound(broken));
  assert.ok(describeResult(broken, again).some((line) => line.includes(again)));
  assert.ok(!describeResult(sound, again).some((line) => line.includes(again)));
});
