import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import { untilPasses } from '#test/eventually.ts';
import { apply, conditionOf, kubectl, read } from './cluster.ts';
import type { Installed } from './installed.ts';

interface Window {
  key: string;
  values: Record<string, number>;
}

/** A kubelet updates a changed ConfigMap within about a minute; then the query reads its topics from the first event on. */
const withinMs = 240_000;

/** StreamQueries that a user applies with kubectl. */
export function streamQueries(platform: Installed): void {
  describe('a StreamQuery', { concurrency: 1 }, () => {
    const query = (name: string, spec: object) => ({
      apiVersion: 'millrace.dev/v1beta1',
      kind: 'StreamQuery',
      metadata: { name },
      spec: {
        from: [{ topic: 'order-events', types: ['order.created'] }],
        window: { tumbling: '1d' },
        select: [{ name: 'orders', count: true }],
        ...spec,
      },
    });
    const windows = async (name: string) => {
      const path = `/api/analytics/queries/${name}/windows?limit=1000`;
      const { status, body } = await platform.gateway.call<Window[]>('GET', path);
      assert.equal(status, 200, JSON.stringify(body));
      return body;
    };
    const ready = (name: string) =>
      kubectl('wait', '--for=condition=Ready', `streamquery/${name}`, `--timeout=${withinMs / 1000}s`);
    after(() => kubectl('delete', 'streamqueries', 'by-hand', 'mistaken', '--ignore-not-found', '--wait=false'));

    test('has windows after it is applied, and a changed one takes over when it has caught up', async (t) => {
      await platform.place();
      let begin = performance.now();
      await apply(query('by-hand', {}));
      await ready('by-hand');
      t.diagnostic(`windows ${((performance.now() - begin) / 1000).toFixed(0)} s after kubectl apply`);
      const [window, ...others] = await windows('by-hand');
      assert.deepEqual([window!.key, others], ['all', []]);
      assert.ok(window!.values['orders']! >= 1, JSON.stringify(window));

      begin = performance.now();
      await apply(query('by-hand', { keyBy: 'string(data.userId)' }));
      await ready('by-hand');
      t.diagnostic(`a change took over ${((performance.now() - begin) / 1000).toFixed(0)} s after kubectl apply`);
      const changed = await windows('by-hand');
      assert.ok(changed.length > 1 && changed.every(({ key }) => key !== 'all'), JSON.stringify(changed.slice(0, 3)));
      const { status, metadata } = await read('streamquery/by-hand');
      assert.equal(status?.['observedGeneration'], metadata.generation);
      assert.ok(status?.['version'] > 1, JSON.stringify(status));
      const listed = await kubectl('get', 'streamquery', 'by-hand');
      assert.match(listed, /^NAME +READY +REASON +VERSION +BUILDING +LAG +RATE +WATERMARK +AGE/);
    });

    test('with a mistake reports it, its line and a suggestion', async () => {
      await apply(query('mistaken', { having: 'order > 3' }));
      await untilPasses(async () => {
        const refused = conditionOf(await read('streamquery/mistaken'), 'Ready');
        assert.equal(refused?.reason, 'Invalid');
        assert.match(refused.message, /line \d+ \(having: order > 3\): .*did you mean orders\?/);
      }, 10_000);
      assert.match(await kubectl('describe', 'streamquery', 'mistaken'), /Warning +Invalid .*did you mean orders\?/);
    });
  });
}
