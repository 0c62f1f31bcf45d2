import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { check, unknownsOf } from './check.ts';
import { consumerGroups } from './consumers.ts';
import type { Hops, TopicRecord } from './hops.ts';
import type { Request } from './ledger.ts';
import { soundRun } from './testing.ts';

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const none = new Set<string>();
type Run = ReturnType<typeof soundRun>;

/** The findings of a run that was broken by hand, as `kind hop`. */
function findings(seed: number, breakIt: (run: Run) => void, stuck: ReadonlySet<string> = none): string[] {
  const run = soundRun(seed);
  breakIt(run);
  return check(run.hops, run.requests, stuck).map(({ kind, hop }) => `${kind} ${hop}`);
}

const orders = ({ hops }: Run) => hops.aggregates[1]!;
const drop = <T>(list: T[], at: number): T => list.splice(at, 1)[0]!;

test('a sound run has no finding', () => {
  fc.assert(
    fc.property(seeds, (seed) =>
      assert.deepEqual(
        findings(seed, () => undefined),
        [],
      ),
    ),
  );
});

test('requests with an unknown outcome are counted, and those that took effect', () => {
  const { hops, requests } = soundRun(1);
  const open = requests.filter(({ outcomes }) => outcomes.includes('unknown')).length;
  assert.deepEqual(unknownsOf(hops, requests), { count: open, exist: open - 1 });
});

describe('a broken run: for any run, the fault is found where it first shows', () => {
  const cases: [string, (run: Run) => void, string, ReadonlySet<string>?][] = [
    [
      'an acknowledged order does not exist',
      ({ requests }) => requests.push({ kind: 'place', mark: 'gone', outcomes: ['done'] }),
      'lost event store',
    ],
    [
      'a refused order exists',
      ({ requests }) => {
        const placed = requests.find(({ kind }) => kind === 'place')!;
        placed.outcomes = ['refused'];
      },
      'doubled event store',
    ],
    ['a key made two orders', makeTwice, 'doubled event store'],
    ['a version is missing in the event store', (run) => drop(orders(run).events, 0), 'lost event store'],
    [
      'the write model is behind its events',
      (run) => (orders(run).state as Map<string, object>).set('1', { version: 0 }),
      'lost event store',
    ],
    ['an event is not in its topic', dropRecord, 'lost outbox orders'],
    ['a record of the topic is nobody’s', addStranger, 'doubled outbox orders'],
    [
      'the read model lacks an order',
      (run) => (orders(run).readModels.get('orders-projection') as Map<string, object>).delete('1'),
      'lost orders-projection',
    ],
    [
      'the read model has an order too many',
      (run) => (orders(run).readModels.get('orders-projection') as Map<string, object>).set('99', { version: 1 }),
      'doubled orders-projection',
    ],
    ['a window counted an order twice', ({ hops }) => addFigure(hops, 1), 'doubled analytics'],
    ['a window lacks an order', ({ hops }) => addFigure(hops, -1), 'lost analytics'],
    ['an event has no notification', ({ hops }) => drop(hops.notifications, 0), 'lost notifications'],
    [
      'an event has two notifications',
      ({ hops }) => hops.notifications.push({ ...hops.notifications[0]! }),
      'doubled notifications',
    ],
    ['a mail is marked as sent and never came', ({ hops }) => drop(hops.mails, 0), 'lost mails'],
    [
      'an event became a dead letter',
      ({ hops }) => {
        const { topic, partition, offset, key, id } = hops.records[0]!;
        hops.deadLetters.push({ group: 'analytics', topic, partition, offset, key, id: id!, reason: 'a timeout' });
      },
      'lost analytics',
    ],
    ['a foreign record left no dead letter', ({ hops }) => addForeign(hops), 'lost notifications'],
  ];
  for (const [what, breakIt, expected] of cases) {
    test(what, () => {
      fc.assert(
        fc.property(seeds, (seed) => {
          const found = findings(seed, breakIt);
          assert.ok(found.includes(expected), `${expected} is not among: ${found.join('; ')}`);
        }),
      );
    });
  }

  test('a key goes on in another partition', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        let hasTwo = false;
        const found = findings(seed, ({ hops }) => {
          const later = hops.records.filter(({ topic, id }) => topic === 'order-events' && !id!.endsWith('-1'));
          for (const record of later) record.partition = 7;
          hasTwo = later.length > 0;
        });
        assert.equal(found.includes('reordered outbox orders'), hasTwo);
      }),
    );
  });

  test('two events of a key are in the wrong order', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        let hasTwo = false;
        const found = findings(seed, (run) => {
          hasTwo = swapTwo(run.hops.records);
        });
        assert.equal(found.includes('reordered outbox orders'), hasTwo);
      }),
    );
  });
});

test('what a stuck hop does not have yet is not lost, and what it has twice is doubled', () => {
  const stuck = new Set(['notifications', 'analytics']);
  assert.deepEqual(
    findings(3, ({ hops }) => drop(hops.notifications, 0), stuck),
    [],
  );
  assert.deepEqual(
    findings(3, ({ hops }) => addFigure(hops, 1), stuck),
    ['doubled analytics'],
  );
});

test('a repeated mail is no effect twice: it has the same Message-ID', () => {
  assert.deepEqual(
    findings(4, ({ hops }) => hops.mails.push(hops.mails[0]!)),
    [],
  );
});

test('a foreign record that is a dead letter in each group is in order', () => {
  const found = findings(5, ({ hops }) => {
    const { topic, partition, offset, key } = addForeign(hops);
    for (const group of consumerGroups)
      hops.deadLetters.push({ group, topic, partition, offset, key, id: null, reason: 'no event' });
  });
  assert.deepEqual(found, []);
});

describe('a topic that was created again', () => {
  const recreate = (run: Run): void => {
    run.hops.recreated = new Set(['order-events']);
  };

  test('has events of a key before those that are published again', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const found = findings(seed, (run) => {
          recreate(run);
          const early = run.hops.records.filter(({ id }) => id?.endsWith('-2'));
          run.hops.records.unshift(...early.map((record) => ({ ...record, offset: -1 })));
        });
        assert.deepEqual(found, []);
      }),
    );
  });

  test('has all of them again, in order', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        let hasTwo = false;
        const found = findings(seed, (run) => {
          recreate(run);
          const copies = Map.groupBy(run.hops.records, ({ id }) => id);
          run.hops.records = [...copies.values()].map(([first]) => first!);
          hasTwo = swapTwo(run.hops.records);
        });
        assert.equal(found.includes('lost outbox orders'), hasTwo);
      }),
    );
  });

  test('has left dead letters of foreign records that are gone, and of no event', () => {
    const letter = { group: 'analytics', topic: 'order-events', partition: 0, offset: 9_999, reason: 'no event' };
    const found = (key: string, id: string | null) =>
      findings(6, (run) => {
        recreate(run);
        run.hops.deadLetters.push({ ...letter, key, id });
      });
    assert.deepEqual(found('foreign-1', null), []);
    assert.deepEqual(found('foreign-1', 'foreign-event-1'), ['lost analytics']);
    assert.deepEqual(found('1', 'order-1-1'), ['lost analytics']);
  });
});

function makeTwice(run: Run): void {
  const { events } = orders(run);
  const first = events[0]!;
  events.push({ ...first, id: 'order-98-1', key: '98' });
  const request = run.requests.find((one) => one.kind === 'place') as Request;
  request.key = 'a key';
  request.outcomes = ['unknown', 'done'];
}

function dropRecord({ hops }: Run): void {
  const { id } = hops.records.findLast(({ topic }) => topic === 'order-events')!;
  hops.records = hops.records.filter((record) => record.id !== id);
}

function addStranger({ hops }: Run): void {
  const last = hops.records.at(-1)!;
  hops.records.push({ ...last, offset: last.offset + 1, id: 'order-77-1', key: '77' });
}

function addFigure(hops: Hops, amount: number): void {
  (hops.figures as Map<string, number>).set('orders', hops.figures.get('orders')! + amount);
}

function addForeign(hops: Hops): TopicRecord {
  const last = hops.records.at(-1)!;
  const record = { ...last, offset: last.offset + 1, id: undefined, type: undefined, key: 'foreign-1', data: {} };
  hops.records.push(record);
  return record;
}

/** Swaps the first copies of two events of one order; false if no order has two. */
function swapTwo(records: TopicRecord[]): boolean {
  const first = (id: string) => records.findIndex((record) => record.id === id);
  const second = records.findIndex(({ id, topic }) => topic === 'order-events' && id!.endsWith('-2'));
  if (second < 0) return false;
  const before = first(records[second]!.id!.replace(/-2$/, '-1'));
  [records[before], records[second]] = [records[second]!, records[before]!];
  return true;
}
