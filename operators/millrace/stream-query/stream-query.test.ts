import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import type { StreamStatus } from '#streams/contract';
import { eventServices, streamQueryFiles } from '#platform/declarations';
import { apiVersion } from '../api/common.ts';
import type { EventService } from '../api/event-service.ts';
import type { StreamQuery, StreamQuerySpec } from '../api/stream-query.ts';
import { QueryStatusCache } from './query-statuses.ts';
import { ValidationCache } from './validation-cache.ts';
import { topologyOf, undeclaredTopics } from './topology.ts';
import { validateQuery, queryText } from './validate.ts';
import { configMapNames, queryFiles } from './config-map.ts';
import { passedOn } from './passed-on.ts';
import { conditionsOf, statusFieldsOf } from './status.ts';
import type { ObservedQuery } from './status.ts';

const query = (name: string, spec: Partial<StreamQuerySpec>): StreamQuery => ({
  apiVersion,
  kind: 'StreamQuery',
  metadata: { name, namespace: 'shop', uid: name, generation: 1 },
  spec: {
    from: [{ topic: 'order-events' }],
    window: { tumbling: '1h' },
    select: [{ name: 'orders', count: true }],
    ...spec,
  },
});

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

const topic = (name: string) => ({ topic: name, partitions: 6, retention: '7d' });
const service = (name: string, spec: object) =>
  ({ apiVersion, kind: 'EventService', metadata: { name }, spec: { port: 8080, ...spec } }) as unknown as EventService;
const services = [
  service('orders', { produces: [topic('order-events')] }),
  service('analytics', {
    streamQueries: true,
    produces: [topic('analytics-events'), topic('analytics-alerts')],
    consumes: [{ group: 'analytics', topics: ['order-events'], database: 'analytics' }],
  }),
];
const shop = topologyOf(services);

describe('checking a stream query', () => {
  it('accepts those of the platform', () => {
    const platform = topologyOf(eventServices().map((one) => ({ ...one, apiVersion }) as unknown as EventService));
    for (const { text, file } of streamQueryFiles()) {
      const declared = parse(text) as StreamQuery;
      assert.equal(validateQuery(declared, platform).error, undefined, file);
      // analytics of an earlier release knows the deprecated version alone
      assert.deepEqual(parse(queryText(declared)), { ...declared, apiVersion: 'millrace.dev/v1alpha1' }, file);
    }
  });

  it('names the line of a mistake and quotes it', () => {
    const { error } = validateQuery(query('q', { having: 'order > 3' }), shop);
    assert.equal(
      error,
      'line 13 (having: order > 3): spec.having: Unknown variable: order (character 1); did you mean orders?',
    );
  });

  it('lets a query emit to a topic of its own, but read only what the service consumes', () => {
    assert.equal(validateQuery(query('q', { emit: { to: 'mine' } }), shop).error, undefined);
    const { error } = validateQuery(query('q', { from: [{ topic: 'analytics-events' }] }), shop);
    assert.equal(error, 'the service that runs stream queries does not consume analytics-events');
    assert.match(
      validateQuery(query('q', { from: [{ topic: 'none' }] }), shop).error!,
      /no service declares the topic none/,
    );
  });

  it('tells a topic that a service may declare later from a mistake, which only another query mends', () => {
    const reasonOf = (spec: Partial<StreamQuerySpec>) => {
      const validation = validateQuery(query('q', spec), shop);
      return validation.error === undefined ? undefined : validation.reason;
    };
    assert.equal(reasonOf({ from: [{ topic: 'none' }] }), 'TopicNotDeclared');
    assert.equal(reasonOf({ from: [{ topic: 'analytics-events' }] }), 'TopicNotDeclared');
    assert.equal(reasonOf({ from: [{ topic: 'none' }], having: 'order > 3' }), 'Invalid');
  });

  it('lets no query emit to a topic of another service, nor to one for dead letters', () => {
    for (const [to, message] of [
      ['order-events', 'order-events is a topic of orders, which alone may write it: emit to another one'],
      ['analytics.dead-letters', 'analytics.dead-letters is for dead letters: emit to another topic'],
      [
        'of-another-namespace.dead-letters',
        'of-another-namespace.dead-letters is for dead letters: emit to another topic',
      ],
    ] as const) {
      const validation = validateQuery(query('q', { emit: { to } }), shop);
      assert.ok(validation.error !== undefined);
      assert.ok(validation.error.endsWith(`: spec.emit.to: ${message}`), validation.error);
      assert.equal(validation.reason, 'TopicTaken');
    }
    assert.equal(validateQuery(query('q', { emit: { to: 'analytics-alerts' } }), shop).error, undefined);
  });

  it('lets no query emit to what Kafka takes for no name of a topic', () => {
    for (const to of ['.', '..', '*', 'a b', 'a/b', 'à', '日本']) {
      const validation = validateQuery(query('q', { emit: { to } }), shop);
      assert.equal(validation.error !== undefined && validation.reason, 'Invalid', to);
      assert.ok(validation.error!.startsWith(`spec.emit.to: ${to} is no name of a topic: `), validation.error);
    }
    for (const to of ['alerts-', '.alerts', 'a..b', 'A_.b', '...'])
      assert.equal(validateQuery(query('q', { emit: { to } }), shop).error, undefined, to);
  });

  it('takes an unquoted `on`, which Kubernetes reads as true, for what was meant', () => {
    const emit = { to: 'mine', true: 'close' } as unknown as NonNullable<StreamQuerySpec['emit']>;
    const { text, error } = validateQuery(query('q', { emit }), shop);
    assert.equal(error, undefined);
    assert.deepEqual((parse(text!) as StreamQuery).spec.emit, { to: 'mine', on: 'close' });
  });

  it('is done once for as long as nothing changes', () => {
    const cache = new ValidationCache();
    const one = query('q', {});
    const validation = cache.validate(one, shop);
    assert.equal(cache.validate({ ...one, status: {} }, shop), validation);
    // a topic more, which it does not read
    const more = [...services, service('more', { produces: [topic('more')] })];
    assert.equal(cache.validate(one, topologyOf(more)), validation);
    const emitting = query('emitting', { emit: { to: 'more' } });
    assert.equal(cache.validate(emitting, shop).error, undefined);
    assert.ok(cache.validate(emitting, topologyOf(more)).error, 'its topic is one of another service now');
    assert.notEqual(cache.validate({ ...one, metadata: { ...one.metadata, generation: 2 } }, shop), validation);
    assert.notEqual(cache.validate(one, topologyOf([])), validation);
  });

  it('finds the topics that no service declares, each with one owner', () => {
    const file = (to: string | undefined) => ({ text: 'text', to });
    const candidates = new Map(
      Object.entries({
        b: { valid: file('mine'), before: undefined },
        a: { valid: file('mine'), before: file('former') },
        c: { valid: file(undefined), before: file('order-events') },
        d: { valid: file('analytics-alerts'), before: file('g.dead-letters') },
        e: { valid: undefined, before: file('*') },
      }),
    );
    assert.deepEqual(Object.fromEntries(undeclaredTopics(candidates, shop.topics)), { mine: 'a', former: 'a' });
  });
});

describe('the files of stream queries', () => {
  it('are those of valid queries, and what was accepted before of others', () => {
    const files = [undefined, ...['own', 'taken', 'unknown', undefined].map((to) => ({ text: `to ${to}`, to }))];
    const isOwn: Record<string, boolean> = { own: true, taken: false };
    for (const valid of files) {
      for (const before of files) {
        const passed = passedOn({ valid, before }, (to) => isOwn[to]);
        assert.notEqual(passed?.to, 'taken');
        const goesOn = before?.to === 'taken' ? undefined : before;
        const mayBegin =
          valid !== undefined && valid.to !== 'taken' && (valid.to !== 'unknown' || before?.to === 'unknown');
        assert.equal(passed, mayBegin ? valid : goesOn);
      }
    }
  });

  it('are in one of the ConfigMaps, and stay there', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.string(), { noNullPrototype: true }),
        fc.dictionary(fc.constantFrom('a.yaml', 'b.yaml', 'gone.yaml'), fc.string(), { noNullPrototype: true }),
        fc.nat(configMapNames.length - 1),
        (texts, before, place) => {
          const maps = configMapNames.map((_, i) => (i === place ? before : undefined));
          const { data, overflow } = queryFiles(new Map(Object.entries(texts)), maps);
          assert.equal(overflow.size, 0);
          for (const [name, text] of Object.entries(texts)) {
            const file = `${name}.yaml`;
            const found = data.flatMap((files, i) => (file in files ? [[i, files[file]]] : []));
            // a file that is there stays in its ConfigMap
            assert.deepEqual(found, [[file in before ? place : 0, text]]);
          }
          for (const file of data.flatMap(Object.keys)) assert.ok(file.slice(0, -5) in texts, file);
        },
      ),
    );
  });

  const large = (count: number, bytes: number) =>
    new Map(Array.from({ length: count }, (_, i) => [`q${i}`, 'x'.repeat(bytes)]));
  const filesIn = (data: Record<string, string>[]) => data.map((files) => Object.keys(files).length);

  it('are no more than the ConfigMaps hold', () => {
    const { data, overflow } = queryFiles(large(4_000, 1_500));
    for (const files of data) assert.ok(Object.values(files).join('').length < 1_000_000);
    assert.equal(filesIn(data).reduce((sum, count) => sum + count) + overflow.size, 4_000);
    assert.ok(overflow.size > 0);
    assert.equal(queryFiles(large(5_000, 600)).overflow.size, 0);
  });

  it('fill one ConfigMap after the other, and move only where theirs has no room', () => {
    const first = queryFiles(large(1_000, 1_000)).data;
    const [one = 0, two = 0, ...rest] = filesIn(first);
    assert.ok(one > 400 && two > 400 && one + two === 1_000 && rest.every((count) => count === 0));
    // a ConfigMap of an earlier release, fuller than one becomes now, stays as it is
    const full = Object.fromEntries([...large(800, 1_000)].map(([name, text]) => [`${name}.yaml`, text]));
    assert.deepEqual(filesIn(queryFiles(large(800, 1_000), [full]).data).slice(0, 2), [800, 0]);
    const grown = filesIn(queryFiles(large(800, 1_500), [full]).data);
    assert.ok(grown[0]! < 800);
    assert.equal(
      grown.reduce((sum, count) => sum + count),
      800,
    );
  });
});

describe('the status of a stream query', () => {
  const said: StreamStatus = {
    query: 'q',
    version: 1,
    definition: sha256('text'),
    state: 'Running',
    sources: ['order-events'],
    window: 'tumbling 1h',
    lag: 3,
    watermark: '2026-01-01T00:00:00.000Z',
    eventsPerSecond: 2.5,
    lateEvents: 0,
    failedEvents: 0,
  };
  const fine: ObservedQuery = {
    validation: { text: 'text', error: undefined },
    hasRunner: true,
    isOverflow: false,
    hasFile: false,
    topic: { ready: true, message: '' },
    status: said,
    reachable: true,
  };
  const ready = (observed: Partial<ObservedQuery>) => {
    const { status, reason, message } = conditionsOf({ ...fine, ...observed }).find(({ type }) => type === 'Ready')!;
    return { status, reason, message };
  };

  it('says what keeps it from running', () => {
    assert.deepEqual(ready({}), { status: 'True', reason: 'Running', message: '' });
    assert.equal(ready({ hasRunner: false }).reason, 'NoService');
    assert.equal(ready({ isOverflow: true }).reason, 'NoRoom');
    assert.equal(ready({ topic: { ready: false, message: 'no' } }).reason, 'TopicNotReady');
    assert.deepEqual(ready({ topic: { ready: false, failure: 'NotSupported', message: 'mine: fewer' } }), {
      status: 'False',
      reason: 'NotSupported',
      message: 'mine: fewer',
    });
    assert.equal(ready({ status: undefined }).reason, 'Starting');
    assert.equal(ready({ status: undefined, reachable: false }).status, 'Unknown');
    assert.equal(ready({ status: { ...said, state: 'Waiting' } }).reason, 'Waiting');
    assert.equal(ready({ status: { ...said, state: 'Failed' } }).reason, 'Failed');
    const faults = ['q.yaml:3: no such topic'];
    assert.deepEqual(ready({ status: { ...said, faults } }), {
      status: 'False',
      reason: 'Refused',
      message: 'analytics refuses the query: q.yaml:3: no such topic; the version before goes on',
    });
    const broken = { validation: { text: undefined, error: 'line 3', reason: 'Invalid' }, hasFile: true } as const;
    assert.deepEqual(ready(broken), {
      status: 'False',
      reason: 'Invalid',
      message: 'line 3. The version that was accepted before goes on',
    });
  });

  it('is ready only when analytics follows what the resource says now', () => {
    const earlier = { ...said, definition: sha256('an earlier text') };
    assert.equal(ready({ status: earlier }).reason, 'Starting');
    const building = { version: 2, definition: sha256('text'), progress: 42.5, eventsLeft: 23 };
    assert.deepEqual(ready({ status: { ...earlier, building } }), {
      status: 'False',
      reason: 'Building',
      message: 'analytics reads the events from the first one on: 42.5%, 23 left; version 1 goes on until then',
    });
    const first = { ...said, state: 'Waiting', building: { ...building, version: 1 } } as const;
    assert.equal(ready({ status: first }).message, 'analytics reads the events from the first one on: 42.5%, 23 left');
    assert.deepEqual(statusFieldsOf(undefined, { ...earlier, building }).building, {
      version: 2,
      progress: '42.5%',
      eventsLeft: 23,
    });
    assert.equal(ready({ status: { ...said, building: { ...building, definition: sha256('other') } } }).status, 'True');
  });

  it('is not written for a watermark that goes on with the clock', () => {
    const before = statusFieldsOf(undefined, said);
    assert.equal(before.watermark, said.watermark);
    assert.deepEqual(statusFieldsOf(before, { ...said, watermark: '2026-01-01T00:05:00.000Z' }), before);
    const later = statusFieldsOf(before, { ...said, lag: 0, watermark: '2026-01-01T00:05:00.000Z' });
    assert.deepEqual([later.lag, later.watermark], [0, '2026-01-01T00:05:00.000Z']);
    assert.deepEqual(statusFieldsOf(later, undefined), later);
  });

  it('is looked at again only where analytics says something else', () => {
    const statuses = new QueryStatusCache();
    assert.equal(statuses.isReachable('shop'), false);
    assert.deepEqual(statuses.set('shop', [said]), ['q']);
    assert.deepEqual(statuses.set('shop', [{ ...said, watermark: null }]), []);
    assert.deepEqual(statuses.set('shop', [{ ...said, lag: 9 }]), ['q']);
    assert.deepEqual(statuses.set('shop', []), ['q']);
    assert.deepEqual(
      [statuses.recordFailure('shop'), statuses.recordFailure('shop'), statuses.isReachable('shop')],
      [false, false, true],
    );
    assert.deepEqual(
      [statuses.recordFailure('shop'), statuses.isReachable('shop'), statuses.recordFailure('shop')],
      [true, false, false],
    );
  });
});
