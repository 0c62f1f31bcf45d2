import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Api } from './api.ts';
import { Applier, trimManagedFields, needsApply } from './apply.ts';
import type { Connection } from './connection.ts';
import type { KubeObject } from './objects.ts';
import { covers, disowns, owns } from './owned-fields.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';
import { configMap, configMaps } from './testing/support.ts';
import type { ConfigMap } from './testing/support.ts';

describe('what an apply would change', () => {
  it('is nothing where the observed object has more than is desired', () => {
    const desired = { spec: { ports: [{ name: 'http', port: 80 }], selector: { app: 'a' } } };
    const observed = {
      spec: {
        clusterIP: '10.0.0.1',
        selector: { app: 'a' },
        ports: [
          { name: 'admin', port: 81 },
          { name: 'http', port: 80, protocol: 'TCP', targetPort: 80 },
        ],
      },
    };
    assert.equal(covers(observed, desired), true);
    assert.equal(covers(observed, { spec: { ports: [{ name: 'http', port: 8080 }] } }), false);
    assert.equal(covers({ list: ['a', 'b'] }, { list: ['a'] }), false);
    assert.equal(covers({ list: [{ op: 'a', x: 1 }] }, { list: [{ op: 'a' }] }), true);
  });

  it('takes no key for one that several items share', () => {
    const acls = [
      { type: 'allow', resource: 'a' },
      { type: 'allow', resource: 'b' },
    ];
    assert.equal(covers({ acls }, { acls: acls.toReversed() }), false);
    assert.equal(covers({ acls }, { acls: [...acls] }), true);
  });

  it('is the removal of what was applied before and is no longer desired', () => {
    const fields = {
      'f:metadata': { 'f:labels': { 'f:app': {} } },
      'f:spec': {
        'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {}, 'f:name': {} } },
        'f:finalizers': { 'v:"a"': {} },
      },
    };
    const desired = {
      metadata: { labels: { app: 'a' } },
      spec: { ports: [{ port: 80, name: 'http' }], finalizers: ['a'] },
    };
    assert.equal(disowns(fields, desired), false);
    assert.equal(owns(fields, desired), true);
    assert.equal(disowns(fields, { ...desired, metadata: { labels: { other: 'a' } } }), true);
    assert.equal(disowns(fields, { ...desired, spec: { ...desired.spec, finalizers: [] } }), true);
    assert.equal(disowns(fields, { ...desired, spec: { ...desired.spec, ports: [{ port: 81, name: 'http' }] } }), true);
    assert.equal(owns(fields, { ...desired, spec: { ...desired.spec, replicas: 1 } }), false);
    assert.equal(owns(fields, { ...desired, spec: { ...desired.spec, ports: [{ port: 81 }] } }), false);
  });
});

describe('applying', () => {
  let server: FakeApiServer;
  let connection: Connection;
  let applier: Applier;

  const observed = () => {
    const found = server.find<ConfigMap>(configMaps, 'test', 'map');
    return found && trimManagedFields(found, 'me');
  };
  const apply = (data: Record<string, string>, labels?: Record<string, string>) =>
    applier.apply<ConfigMap>(configMaps, configMap('map', data, labels ? { labels } : {}), observed());

  beforeEach(async () => {
    server = new FakeApiServer();
    await server.start();
    connection = server.connection();
    applier = new Applier(new Api(connection), 'me');
  });
  afterEach(async () => {
    await connection.close();
    await server.stop();
  });

  it('writes what is new, different or too much, and nothing else', async () => {
    assert.equal((await apply({ a: '1', b: '2' })).written, true);
    assert.equal((await apply({ a: '1', b: '2' })).written, false);
    assert.equal((await apply({ a: '1', b: '3' })).written, true);
    assert.equal((await apply({ a: '1' })).written, true);
    assert.deepEqual(observed()?.data, { a: '1' });
    assert.equal((await apply({ a: '1' })).written, false);
  });

  it('leaves what others have set, and takes its own back', async () => {
    await apply({ mine: '1' });
    server.patch(configMaps, 'test', 'map', { data: { theirs: '2' } });
    assert.equal((await apply({ mine: '1' })).written, false);
    server.patch(configMaps, 'test', 'map', { data: { mine: 'changed' } });
    assert.equal((await apply({ mine: '1' })).written, true);
    assert.deepEqual(observed()?.data, { mine: '1', theirs: '2' });
  });

  it('makes what is there already its own', async () => {
    server.create(configMaps, configMap('map', { a: '1' }));
    assert.equal((await apply({ a: '1' })).written, true);
    assert.equal((await apply({ a: '1' })).written, false);
  });

  it('does not write again what the server keeps in another form', async () => {
    const map = (await apply({ cpu: '1000m' })).object;
    // as if the server had written `1`
    const canonical: KubeObject = { ...map, data: { cpu: '1' } } as ConfigMap;
    const again = await applier.apply(configMaps, configMap('map', { cpu: '1000m' }), canonical);
    assert.equal(again.written, false);
  });

  const member = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2'), { noNullPrototype: true });

  it('comes to rest after one write, whatever is desired and whatever was there', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ data: member, labels: member, theirs: member }), { maxLength: 4 }),
        async (rounds) => {
          for (const { data, labels, theirs } of rounds) {
            if (observed()) server.patch(configMaps, 'test', 'map', { data: theirs });
            await apply(data, labels);
            const before = observed()!;
            assert.equal(needsApply(configMap('map', data, { labels }), before, 'me'), false);
            assert.ok(covers(before.data, data));
            assert.deepEqual(before.metadata.labels ?? {}, labels);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
