import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { eventServices, streamQueryFiles } from '#platform/declarations';
import { ApiError } from '#runtime/errors.ts';
import { apiVersionOf } from '#runtime/objects.ts';
import type { Resource, ResourceType } from '#runtime/objects.ts';
import { parse } from 'yaml';
import * as kinds from '../../../operators/millrace/api/kinds.ts';
import { needsCluster, testNamespace } from './cluster.ts';
import type { TestNamespace } from './cluster.ts';
import { celMessages, declaredCrds, installCrds } from './crds.ts';
import { allowSeconds } from '#test/time-limit.ts';

allowSeconds(1_200); // a cluster is slow

type Spec = Record<string, unknown>;

describe('the API server and the CRDs', needsCluster, () => {
  let home: TestNamespace;
  let number = 0;
  const refusals: string[] = [];

  before(async () => {
    home = await testNamespace();
    await installCrds(home.api);
  });
  after(() => home.close());

  const create = (type: ResourceType, spec: unknown, name = `one-${(number += 1)}`) =>
    home.api.create<Resource>(type, {
      apiVersion: apiVersionOf(type),
      kind: type.kind,
      metadata: { namespace: home.namespace, name },
      spec,
    });
  /** Creates one that is accepted, and tries to change it. */
  const change = async (type: ResourceType, spec: Spec, changes: Spec) => {
    const { metadata } = await create(type, spec);
    return home.api.patch(type, home.namespace, metadata.name, { spec: changes });
  };
  const refuses = (attempt: Promise<unknown>, why: RegExp) =>
    assert.rejects(attempt, (error) => {
      assert.ok(error instanceof ApiError && [400, 422].includes(error.status), String(error));
      assert.match(error.message, why);
      refusals.push(error.message);
      return true;
    });

  it('accept the declarations of the platform', async () => {
    for (const { spec, metadata } of eventServices()) await create(kinds.eventServices, spec, metadata.name);
    for (const { text } of streamQueryFiles()) {
      const { spec, metadata } = parse(text) as Resource;
      await create(kinds.streamQueries, spec, metadata.name);
    }
  });

  const database = { name: 'a', schema: 'prisma/a' };
  const produced = { topic: 'a', partitions: 3, retention: '7d' };
  const consumed = { group: 'g', topics: ['t'], database: 'a' };
  const services = kinds.eventServices;

  it('refuse fewer partitions of a topic', async () => {
    await change(services, { port: 1, produces: [produced] }, { produces: [{ ...produced, partitions: 4 }] });
    const fewer = change(services, { port: 1, produces: [produced] }, { produces: [{ ...produced, partitions: 2 }] });
    await refuses(fewer, /partitions can only grow/);
  });

  it('refuse an invalid retention', async () => {
    for (const retention of ['1 week', 604_800_000])
      await refuses(create(services, { port: 1, produces: [{ ...produced, retention }] }), /retention/);
  });

  it('refuse another schema folder of a database, and its removal', async () => {
    const spec = { port: 1, databases: [database] };
    await refuses(
      change(services, spec, { databases: [{ ...database, schema: 'prisma/b' }] }),
      /keeps its schema folder/,
    );
    await refuses(change(services, spec, { databases: [] }), /cannot be taken from a service/);
    await refuses(change(services, spec, { databases: null }), /cannot be taken from a service/);
  });

  it('refuse another database of a group, and an unknown one', async () => {
    const databases = [database, { name: 'b', schema: 'prisma/b' }];
    const spec = { port: 1, databases, consumes: [consumed] };
    await refuses(change(services, spec, { consumes: [{ ...consumed, database: 'b' }] }), /the offsets of a group/);
    await refuses(create(services, { port: 1, consumes: [consumed] }), /a database that the service does not have/);
  });

  it('refuse another Kafka of a service, and two or none', async () => {
    const kafka = (value: object) => create(services, { port: 1, kafka: value });
    const external = { bootstrapServers: 'kafka:9092' };
    const stays = /stays with its Kafka/;
    await refuses(change(services, { port: 1, kafka: { cluster: 'a' } }, { kafka: { cluster: 'b' } }), stays);
    await refuses(
      change(services, { port: 1, kafka: { cluster: 'a' } }, { kafka: { cluster: null, external } }),
      stays,
    );
    await refuses(kafka({ cluster: 'a', external }), /either cluster or external/);
    await refuses(kafka({}), /either cluster or external/);
    await refuses(kafka({ external: { ...external, acls: true } }), /acls need sasl/);
    const plain = { mechanism: 'PLAIN', secretRef: { name: 's' } };
    await refuses(kafka({ external: { ...external, sasl: plain } }), /PLAIN needs tls/);
    await kafka({ external: { ...external, sasl: plain, tls: {} } });
  });

  it('refuse a name that others are made from and that would be too long', async () => {
    const query = { from: [{ topic: 't' }] };
    const tooLong = /becomes part of other names/;
    for (const name of ['a'.repeat(64), 'a.b']) {
      await refuses(create(services, { port: 1 }, name), tooLong);
      await refuses(create(kinds.streamQueries, query, name), tooLong);
    }
    await create(services, { port: 1 }, 'a'.repeat(63));
    const topic = 'T'.repeat(248);
    await refuses(create(services, { port: 1, produces: [{ ...produced, topic }] }), /247 characters at most/);
    await refuses(create(kinds.streamQueries, { ...query, emit: { to: topic } }), /247 characters at most/);
    await create(services, { port: 1, produces: [{ ...produced, topic: 't'.repeat(249) }] });
  });

  it('refuse two references to the Secret of the superuser, and none', async () => {
    const reference = { superuserSecretRef: { name: 's' } };
    const postgresql = (value: object) => create(services, { port: 1, postgresql: value });
    await refuses(postgresql({ ...reference, superuserSecret: 's' }), /exactly one of them/);
    await refuses(postgresql({}), /exactly one of them/);
    await postgresql(reference);
  });

  it('fill in what has a default', async () => {
    const scaling = { minReplicas: 1, lagPerReplica: 1 };
    const { spec } = await create(services, { port: 1, scaling, postgresql: { superuserSecretRef: { name: 's' } } });
    assert.deepEqual(spec, {
      port: 1,
      streamQueries: false,
      deletionPolicy: 'Retain',
      migration: { resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } } },
      scaling: { ...scaling, stabilization: '5m' },
      postgresql: { superuserSecretRef: { name: 's' }, databaseName: '{name}' },
    });
  });

  it('refuse bounds of scaling that contradict each other', () =>
    refuses(
      create(services, { port: 1, scaling: { minReplicas: 3, maxReplicas: 2, lagPerReplica: 1 } }),
      /maxReplicas must be at least minReplicas/,
    ));

  it('allow only the TTL of a replay to change', async () => {
    const spec = { group: 'g', maxMessages: 10, select: { topic: 't' }, retryFailed: false };
    for (const changes of [{ group: 'h' }, { maxMessages: 11 }, { select: { topic: 'u' } }, { retryFailed: true }]) {
      await refuses(change(kinds.deadLetterReplays, spec, changes), /make another one/);
    }
    await change(kinds.deadLetterReplays, spec, { ttlSecondsAfterFinished: 60 });
  });

  it('allow only the TTL of a rebuild to change', async () => {
    const spec = { service: 'orders', group: 'g', timeoutSeconds: 60 };
    for (const changes of [{ service: 'users' }, { group: 'h' }, { timeoutSeconds: 61 }]) {
      await refuses(change(kinds.projectionRebuilds, spec, changes), /make another one/);
    }
    await change(kinds.projectionRebuilds, spec, { ttlSecondsAfterFinished: 60 });
  });

  it('have no rule that no test has violated', () => {
    const rules = declaredCrds().flatMap(celMessages);
    assert.ok(rules.length >= 14);
    for (const [message, same] of Map.groupBy(rules, (rule) => rule)) {
      const refused = refusals.filter((refusal) => refusal.includes(message));
      assert.ok(refused.length >= same.length, `${message}: ${refused.length} refusals of ${same.length} rules`);
    }
  });

  it('serve the status apart from the spec', async () => {
    const made = await create(kinds.streamQueries, { from: [{ topic: 'order-events' }], window: { tumbling: '1h' } });
    const { name } = made.metadata;
    await home.api.patch(kinds.streamQueries, home.namespace, name, { status: { lag: 1 } });
    const found = await home.api.get<Resource<unknown, { lag?: number }>>(kinds.streamQueries, home.namespace, name);
    assert.deepEqual(found?.status, { observedGeneration: -1 }, 'the operator has not seen it');
    assert.equal(found?.metadata.generation, 1);
  });
});
