import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { parseDuration } from '#platform/declarations';
import { apiVersion } from '../api/common.ts';
import type { EventServiceSpec } from '#platform/declaration-schema';
import type { EventService } from '../api/event-service.ts';
import { connectionOf } from '../consumer-lag.ts';
import type { KafkaTopic } from '../strimzi.ts';
import { migratedCondition, migrationJobOf, migrationOf, failureIn } from './migration.ts';
import { databaseSecretOf } from './databases.ts';
import { partitionsOf, desiredReplicas, scale } from './scaling.ts';
import type { Recommendation } from './scaling.ts';
import { readyOf, statusFieldsOf } from './status.ts';
import { topicsCondition, topicsOf } from './topics.ts';
import { aclsOf, kafkaUserOf, writtenBy } from './kafka-user.ts';

const kafka = { cluster: 'millrace' };

function service(spec: Partial<EventServiceSpec>, name = 'orders'): EventService {
  const metadata = { name, namespace: 'shop', uid: 'uid-1', generation: 1 };
  return { apiVersion, kind: 'EventService', metadata, spec: { port: 8080, ...spec } };
}

const produced = (topic: string) => ({ topic, partitions: 6, retention: -1 });
const specs: Record<string, Partial<EventServiceSpec>> = {
  users: { produces: [produced('user-events')] },
  orders: {
    produces: [produced('order-events')],
    consumes: [{ group: 'orders-projection', topics: ['order-events', 'user-events'], database: 'orders-read' }],
  },
  analytics: {
    produces: [produced('analytics-events'), produced('analytics-alerts')],
    consumes: [{ group: 'analytics', topics: ['user-events', 'order-events'], database: 'analytics' }],
    streamQueries: true,
  },
};
const declared = (name: string) => service({ ...specs[name], kafka }, name);

describe('the topics of a service', () => {
  it('are those that it publishes to, and one for the dead letters of each group', () => {
    const topics = topicsOf(declared('orders'));
    assert.deepEqual(
      topics.map(({ metadata, spec }) => [metadata.name, spec.partitions, spec.config['retention.ms']]),
      [
        ['order-events', 6, '-1'],
        ['orders-projection.dead-letters', 1, '-1'],
      ],
    );
    assert.equal(topics[0]!.metadata.labels?.['strimzi.io/cluster'], 'millrace');
    assert.equal(topics[0]!.metadata.ownerReferences, undefined);
  });

  it('are ready when Strimzi says so of what is wanted now', () => {
    const one = service({ kafka, produces: [{ topic: 'a', partitions: 1, retention: -1 }] });
    const [topic] = topicsOf(one);
    const observed = (status: object, labels = topic!.metadata.labels!): KafkaTopic =>
      ({ ...topic, metadata: { ...topic!.metadata, labels, generation: 2 }, status }) as KafkaTopic;
    const ready = { conditions: [{ type: 'Ready', status: 'True' }] };
    const condition = (topics: KafkaTopic[]) =>
      topicsCondition(
        one,
        topics.map((found) => ({ desired: topic!, found })),
      );
    const reason = (topics: KafkaTopic[]) => condition(topics).reason;
    assert.equal(reason([observed({})]), 'TopicsNotReady');
    assert.equal(reason([observed({ ...ready, observedGeneration: 1 })]), 'TopicsNotReady');
    assert.equal(reason([observed({ ...ready, observedGeneration: 2 })]), 'Created');
    const failed = { observedGeneration: 2, conditions: [{ type: 'NotReady', status: 'True', message: 'no brokers' }] };
    assert.match(condition([observed({}), observed(failed)]).message, /^a: no brokers$/);
    assert.equal(reason([observed({}, { 'millrace.dev/made-for': 'users' })]), 'TopicTaken');
  });
});

describe('the rights of a service in Kafka', () => {
  const rights = (one: EventService, emitted: string[] = []) =>
    aclsOf(one, emitted).map(({ resource, operations }) => `${operations.join('+')} ${resource.type} ${resource.name}`);

  it('are to write what it publishes, read it and what it consumes, and nothing else', () => {
    assert.deepEqual(rights(declared('orders')), [
      'Write+Describe topic order-events',
      'Write+Describe topic orders-projection.dead-letters',
      'Read+Describe topic order-events',
      'Read+Describe topic user-events',
      'Read group orders-projection',
      'Read group orders-projection.v',
      'Read group broadcast-',
    ]);
    assert.deepEqual(rights(declared('users')), [
      'Write+Describe topic user-events',
      'Read+Describe topic user-events',
      'Read group broadcast-',
    ]);
    assert.deepEqual(rights(service({})), []);
  });

  it('are to write what its stream queries emit, too', () => {
    assert.ok(rights(declared('analytics'), ['mine', 'analytics-alerts']).includes('Write+Describe topic mine'));
    const all = rights(declared('analytics'), ['mine', 'analytics-alerts']);
    assert.equal(new Set(all).size, all.length);
  });

  it('are known again from its KafkaUser, also where somebody has written that otherwise', () => {
    const user = kafkaUserOf(service({}), 'millrace', aclsOf(service({}), ['one', 'two']));
    assert.deepEqual(writtenBy(user), ['one', 'two']);
    const of = (type: string, name: string) => ({ type, name, patternType: 'literal' });
    const acls = [
      { resource: of('topic', 'older'), operation: 'Write' },
      { resource: of('topic', 'read'), operation: 'Read' },
      { resource: of('topic', 'none') },
      { resource: { type: 'cluster' }, operations: ['Write'] },
      { resource: of('topic', 'newer'), operations: ['Write'] },
    ];
    assert.deepEqual(writtenBy({ ...user, spec: { authorization: { type: 'simple', acls } } }), ['older', 'newer']);
    assert.deepEqual(writtenBy({ ...user, spec: {} }), []);
  });
});

describe('scaling', () => {
  const scaling = { minReplicas: 2, lagPerReplica: 100, stabilization: '5m' };

  it('asks for a pod for each so many events, up to the partitions', () => {
    assert.deepEqual(
      [0, 150, 201, 550, 10_000].map((lag) => desiredReplicas(scaling, lag, 6)),
      [2, 2, 3, 6, 6],
    );
    assert.equal(desiredReplicas({ ...scaling, maxReplicas: 4 }, 10_000, 6), 4);
    assert.equal(desiredReplicas(scaling, 10_000, 1), 2, 'never fewer than it says');
    const spec = { consumes: [{ group: 'g', topics: ['a', 'b', 'unknown'], database: 'd' }] };
    assert.equal(
      partitionsOf(
        spec,
        new Map([
          ['a', 3],
          ['b', 6],
        ]),
      ),
      6,
    );
  });

  it('adds pods at once, and takes them away when fewer were enough for long enough', () => {
    let history: Recommendation[] | undefined;
    let current = 2;
    const at = (minute: number, lag: number) => {
      const result = scale(scaling, { lag, partitions: 6, current, now: minute * 60_000 }, history);
      ({ history, replicas: current } = result);
      return current;
    };
    assert.equal(at(0, 0), 2);
    assert.equal(at(1, 450), 5);
    assert.equal(at(2, 250), 5);
    assert.equal(at(4, 0), 5);
    assert.equal(at(6.5, 0), 3, 'what was needed at most in the last 5 minutes');
    assert.equal(at(8, 0), 2);
  });

  it('keeps what is there when it begins without a memory', () => {
    const { replicas } = scale(scaling, { lag: 0, partitions: 6, current: 5, now: 0 }, undefined);
    assert.equal(replicas, 5);
  });

  it('never flaps, and never leaves its bounds, whatever the lag', () => {
    const step = fc.record({ lag: fc.nat(2_000), seconds: fc.integer({ min: 1, max: 120 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 12 }), (steps, partitions) => {
        let [now, current] = [0, 2];
        let history: Recommendation[] | undefined;
        const enough: { at: number; wanted: number }[] = [];
        for (const { lag, seconds } of steps) {
          now += seconds * 1000;
          const before = current;
          ({ replicas: current, history } = scale(scaling, { lag, partitions, current, now }, history));
          const wanted = desiredReplicas(scaling, lag, partitions);
          enough.push({ at: now, wanted });
          assert.ok(current >= 2 && current <= Math.max(2, partitions));
          assert.ok(current >= wanted, 'what is needed now is there at once');
          if (current >= before) continue;
          const window = enough.filter(({ at }) => at > now - parseDuration('5m'));
          assert.ok(
            window.every((one) => one.wanted <= current),
            'no pod goes that was needed lately',
          );
        }
      }),
    );
  });
});

describe('migrations', () => {
  const databases = [{ name: 'orders-read', schema: 'prisma/orders-read' }];
  const one = service({ image: 'shop:1', databases });

  it('are those of an image for some databases', () => {
    assert.equal(migrationOf(one), migrationOf(service({ image: 'shop:1', databases, port: 1 })));
    assert.notEqual(migrationOf(one), migrationOf(service({ image: 'shop:2', databases })));
    assert.notEqual(migrationOf(one), migrationOf(service({ image: `shop:1@sha256:${'0'.repeat(64)}`, databases })));
    assert.equal(migrationOf(service({ databases })), undefined);
  });

  it("are a Job of the workload's image", () => {
    const job = migrationJobOf(one, migrationOf(one)!) as unknown as {
      metadata: { name: string };
      spec: { template: { spec: { containers: { image: string; args: string[]; env: object[] }[] } } };
    };
    assert.match(job.metadata.name, /^orders-migrate-[0-9a-f]{10}$/);
    const [container] = job.spec.template.spec.containers;
    assert.equal(container!.image, 'shop:1');
    assert.deepEqual(container!.args, ['platform/migrate/main.ts', 'prisma/orders-read=URL_ORDERS_READ']);
    assert.deepEqual(container!.env, [
      { name: 'URL_ORDERS_READ', valueFrom: { secretKeyRef: { name: 'orders-read-database', key: 'url' } } },
    ]);
  });

  it('have five attempts: Kubernetes ends a Job as the restart of its limit begins', () => {
    const job = migrationJobOf(one, 'm') as unknown as {
      spec: { backoffLimit: number; template: { spec: { restartPolicy: string } } };
    };
    assert.deepEqual([job.spec.backoffLimit, job.spec.template.spec.restartPolicy], [5, 'OnFailure']);
  });

  it('run with the user and the rights that the service says', () => {
    const contextsOf = (spec: Partial<EventServiceSpec>) => {
      const job = migrationJobOf(service({ image: 'shop:1', databases, ...spec }), 'm') as unknown as {
        spec: { template: { spec: { securityContext: object; containers: { securityContext: object }[] } } };
      };
      const { securityContext, containers } = job.spec.template.spec;
      return [securityContext, containers[0]!.securityContext];
    };
    assert.equal((contextsOf({})[0] as { runAsUser?: number }).runAsUser, 1000);
    const contexts = [{ runAsNonRoot: true }, { allowPrivilegeEscalation: false }] as const;
    const [podSecurityContext, containerSecurityContext] = contexts;
    assert.deepEqual(contextsOf({ podSecurityContext, containerSecurityContext }), contexts);
  });

  it('run where, and as, the service says; their labels stay those that NetworkPolicies know', () => {
    const podFields = {
      nodeSelector: { pool: 'shop' },
      tolerations: [{ key: 'dedicated', operator: 'Exists' }],
      affinity: { nodeAffinity: {} },
      priorityClassName: 'high',
      runtimeClassName: 'gvisor',
      schedulerName: 'volcano',
      serviceAccountName: 'shop',
      hostAliases: [{ ip: '10.0.0.1', hostnames: ['db'] }],
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['10.0.0.10'] },
    };
    const podAnnotations = { 'sidecar.istio.io/inject': 'false' };
    const podLabels = { team: 'shop', 'app.kubernetes.io/component': 'mine' };
    const resources = { limits: { cpu: '1' } };
    const migration = { ...podFields, podLabels, podAnnotations, resources };
    const job = migrationJobOf(service({ image: 'shop:1', databases, migration }), 'm') as unknown as {
      spec: { template: { metadata: { labels: Record<string, string> }; spec: { containers: object[] } } };
    };
    const { metadata, spec } = job.spec.template;
    assert.partialDeepStrictEqual(spec, { ...podFields, automountServiceAccountToken: false });
    assert.partialDeepStrictEqual(spec.containers[0], { resources });
    assert.partialDeepStrictEqual(metadata, { annotations: podAnnotations, labels: { team: 'shop' } });
    assert.equal(metadata.labels['app.kubernetes.io/component'], 'migration');
  });

  it('have the certificates that their connections are checked with', () => {
    const secrets = { caSecretRef: { name: 'authority' }, clientCertSecretRef: { name: 'client' } };
    const tls = { mode: 'verify-full', ...secrets } as const;
    const postgresql = { superuserSecretRef: { name: 's' }, databaseName: '{name}', tls };
    const job = migrationJobOf(service({ image: 'shop:1', databases, postgresql }), 'm') as unknown as {
      spec: { template: { spec: { volumes: object[]; containers: { volumeMounts: object[] }[] } } };
    };
    const { volumes, containers } = job.spec.template.spec;
    const items = (...keys: string[]) => keys.map((key) => ({ key, path: key }));
    assert.deepEqual(volumes, [
      { name: 'postgresql-ca', secret: { secretName: 'authority', items: items('ca.crt') } },
      { name: 'postgresql-client', secret: { secretName: 'client', items: items('tls.crt', 'tls.key') } },
    ]);
    assert.deepEqual(containers[0]!.volumeMounts, [
      { name: 'postgresql-ca', mountPath: '/etc/postgresql-ca', readOnly: true },
      { name: 'postgresql-client', mountPath: '/etc/postgresql-client', readOnly: true },
    ]);
  });

  it('say where they are', () => {
    const wanted = migrationOf(one)!;
    const job = (type?: string) => ({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'j' },
      status: type ? { conditions: [{ type, status: 'True' }] } : {},
    });
    assert.equal(migratedCondition(one, wanted, undefined).reason, 'Applied');
    assert.equal(migratedCondition(one, 'old', undefined).reason, 'Pending');
    assert.equal(migratedCondition(one, 'old', job()).reason, 'Migrating');
    for (const state of [undefined, 'Failed']) {
      const { message } = migratedCondition(one, 'old', job(state), { failure: 'no server' });
      assert.match(message, /its last attempt: no server$/);
      assert.equal(failureIn(message, 'j'), 'no server');
      assert.equal(failureIn(message, 'another'), undefined);
    }
    assert.equal(migratedCondition(one, 'old', job('Failed')).reason, 'MigrationFailed');
    assert.equal(failureIn(migratedCondition(one, 'old', job('Failed')).message, 'j'), undefined);
    assert.equal(migratedCondition(service({ databases }), undefined, undefined).reason, 'NoImage');
  });
});

describe('what a service says of itself', () => {
  it('is ready when everything is, and else the first that is not', () => {
    const yes = { type: 'A', status: 'True', reason: 'Fine', message: '' } as const;
    const no = { type: 'B', status: 'False', reason: 'Broken', message: 'why' } as const;
    assert.equal(readyOf([yes, yes]).status, 'True');
    assert.deepEqual(readyOf([yes, no]), { type: 'Ready', status: 'False', reason: 'Broken', message: 'why' });
  });

  it('has sums only of what could be asked', () => {
    const measured = {
      consumers: [
        { group: 'a', lag: 1, deadLetters: 2 },
        { group: 'b', lag: 3 },
      ],
      partitions: new Map(),
    };
    const condition = { type: 'Migrated', status: 'True', reason: 'NoDatabases', message: '' } as const;
    const { lag, deadLetters } = statusFieldsOf(measured, { condition, databases: [], applied: {} }, {});
    assert.deepEqual([lag, deadLetters], [4, undefined]);
  });

  it('is a Secret with an address that its password does not break', () => {
    const { data } = databaseSecretOf(
      { namespace: 'shop', service: 'orders', database: 'orders-read' },
      'orders_read',
      { host: 'pg', port: '5432' },
      'p@ss/w:rd',
    );
    const url = new URL(Buffer.from(data!['url']!, 'base64').toString());
    assert.deepEqual(
      [url.username, decodeURIComponent(url.password), url.host, url.pathname],
      ['orders_read', 'p@ss/w:rd', 'pg:5432', '/orders_read'],
    );
  });

  it('reaches Kafka by the listener that asks for a password', () => {
    const sasl = { username: 'u', password: 'p' };
    const cluster = {
      apiVersion: 'kafka.strimzi.io/v1',
      kind: 'Kafka',
      metadata: { name: 'k' },
      spec: {
        kafka: { listeners: [{ name: 'plain' }, { name: 'secure', authentication: { type: 'scram-sha-512' } }] },
      },
      status: {
        listeners: [
          { name: 'plain', bootstrapServers: 'k:9092' },
          { name: 'secure', bootstrapServers: 'k:9093', certificates: ['PEM'] },
        ],
      },
    };
    assert.deepEqual(connectionOf(cluster, sasl), { brokers: ['k:9093'], sasl, tls: { ca: 'PEM' } });
    assert.equal(connectionOf(undefined, sasl), undefined);
    assert.equal(connectionOf({ ...cluster, status: {} }, sasl), undefined);
  });
});
