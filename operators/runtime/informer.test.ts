import assert from 'node:assert/strict';
import { it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { Api } from './api.ts';
import { systemClock } from './clock.ts';
import { Informer } from './informer.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';
import { configMap, configMaps, memoryLog } from './testing/support.ts';
import type { ConfigMap } from './testing/support.ts';

it('an informer of some names sees no other object, and keeps what another of its watches has found', async () => {
  const server = new FakeApiServer();
  await server.start();
  const connection = server.connection();
  const stop = new AbortController();
  const informer = new Informer<ConfigMap>({
    api: new Api(connection),
    type: configMaps,
    namespaces: ['test', 'more'],
    names: ['a', 'b'],
    clock: systemClock,
    log: memoryLog(),
    metrics: { restarted: () => undefined, objects: () => undefined },
  });
  server.create(configMaps, configMap('a'));
  server.create(configMaps, configMap('other'));
  server.create(configMaps, configMap('b', {}, { namespace: 'more' }));
  const running = informer.run(stop.signal);
  try {
    await informer.whenSynced();
    assert.deepEqual([...informer.store.keys()].toSorted(), ['more/b', 'test/a']);
    server.create(configMaps, configMap('another'));
    server.create(configMaps, configMap('b'));
    await eventually(() => informer.store.get('test/b'), 'the cache has it');
    assert.deepEqual([...informer.store.keys()].toSorted(), ['more/b', 'test/a', 'test/b']);
  } finally {
    stop.abort();
    await running;
    await connection.close();
    await server.stop();
  }
});
