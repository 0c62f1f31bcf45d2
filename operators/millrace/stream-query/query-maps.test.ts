import assert from 'node:assert/strict';
import { it } from 'node:test';

import type { Change } from '#runtime/informer.ts';
import { keyOf } from '#runtime/objects.ts';
import { Store } from '#runtime/store.ts';
import type { ConfigMap } from '../informers.ts';
import { QueryMaps } from './query-maps.ts';

const at = (version: number, uid = 'first'): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'shop', name: 'stream-queries', uid, resourceVersion: String(version) },
});

it('the ConfigMaps of queries are as they were written until the cache has that or what is newer', () => {
  const store = new Store<ConfigMap>();
  const handlers: ((change: Change<ConfigMap>) => void)[] = [];
  const maps = new QueryMaps({ store, onChange: (handler) => void handlers.push(handler) });
  const learn = (after: ConfigMap | undefined) => {
    const before = store.get('shop/stream-queries');
    if (after) store.set(after);
    else if (before) store.delete(keyOf(before));
    for (const tell of handlers) tell({ before, after, initial: false });
  };
  const version = () => maps.in('shop')[0]?.metadata.resourceVersion;
  assert.equal(version(), undefined);
  maps.written(at(8));
  assert.equal(version(), '8', 'a new one');
  learn(at(8));
  maps.written(at(11));
  maps.written(at(100));
  assert.equal(version(), '100');
  learn(at(11));
  assert.equal(version(), '100', 'the cache lags behind');
  learn(at(101));
  assert.equal(version(), '101', 'somebody else has changed it');
  learn(at(102));
  maps.written(at(101));
  assert.equal(version(), '102', 'the cache was first');
  maps.written(at(103));
  learn(undefined);
  assert.equal(version(), undefined, 'somebody has deleted it');
});
