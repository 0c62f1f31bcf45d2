import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { brokerSettings, eventServices, nodeFlags, streamQueryFiles } from '#platform/declarations';

import { certificateMounts } from '../../operators/millrace/event-service/certificates.ts';
import { configMapNames } from '../../operators/millrace/stream-query/config-map.ts';

import { find, namesOf, podTemplates, refusalIn, refusalOf, render, withoutHelm, type Resource } from '../testing.ts';

const declared = eventServices();
const refusal = (values: object): string => refusalOf('millrace', values);

test('the platform’s chart mounts the ConfigMap that the operator writes the queries to', () => {
  const template = readFileSync(new URL('templates/_service.tpl', import.meta.url), 'utf8');
  const volume = `configMap: { name: ${configMapNames[0]} }`;
  assert.ok(template.includes(volume), `templates/_service.tpl has no volume of the ConfigMap ${configMapNames[0]}`);
});

describe('the platform’s chart', { skip: withoutHelm }, () => {
  const resources = withoutHelm ? [] : render('millrace');

  test('has every declared service and query, once', () => {
    const services = declared.map(({ metadata }) => metadata.name);
    assert.deepEqual(namesOf(resources, 'EventService').toSorted(), services);
    assert.deepEqual(
      namesOf(resources, 'Deployment')
        .filter((name) => name !== 'mail-catcher')
        .toSorted(),
      services,
    );
    assert.equal(namesOf(resources, 'StreamQuery').length, streamQueryFiles().length);
    const all = resources.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    assert.deepEqual(all.length, new Set(all).size);
  });

  test('keeps every pod to the restricted Pod Security Standard, with a read-only root', () => {
    const pods = podTemplates(resources);
    assert.equal(pods.size, declared.length + 3); // PostgreSQL, the mail catcher and the test
    for (const [name, { spec }] of pods) {
      assert.equal(spec.securityContext.runAsNonRoot, true, name);
      assert.ok(spec.securityContext.runAsUser > 0, name);
      assert.deepEqual(spec.securityContext.seccompProfile, { type: 'RuntimeDefault' }, name);
      assert.equal(spec.automountServiceAccountToken, false, name);
      for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
        assert.deepEqual(
          container.securityContext,
          { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
          name,
        );
        assert.ok(container.resources.requests.memory && container.resources.limits.memory, name);
      }
    }
  });

  test('contains no secret: pods refer to Secrets by name, which the operator makes', () => {
    assert.deepEqual(namesOf(resources, 'Secret'), []);
    assert.deepEqual(find(resources, 'EventService', 'orders')['spec'].postgresql, {
      superuserSecretRef: { name: 'postgresql-superuser' },
      newSuperuser: { host: 'postgresql', port: 5432, username: 'postgres' },
    });
    const own = render('millrace', { values: { postgresql: { bundled: { existingSecret: 'mine' } } } });
    assert.deepEqual(find(own, 'EventService', 'orders')['spec'].postgresql, { superuserSecretRef: { name: 'mine' } });
    for (const [, { spec }] of podTemplates(resources))
      for (const { name, value } of spec.containers[0].env)
        if (/PASSWORD$|DATABASE_URL|_CA$/.test(name)) assert.equal(value, undefined, name);
  });

  test('keeps data', () => {
    const { spec } = find(resources, 'StatefulSet', 'postgresql');
    assert.deepEqual(spec.persistentVolumeClaimRetentionPolicy, { whenDeleted: 'Retain', whenScaled: 'Retain' });
    assert.equal(find(resources, 'KafkaNodePool', 'dual-role')['spec'].storage.volumes[0].deleteClaim, false);
    for (const [kind, name] of [
      ['Kafka', 'millrace'],
      ['KafkaNodePool', 'dual-role'],
    ] as const) {
      const { metadata } = find(resources, kind, name) as { metadata: { annotations?: object } };
      assert.deepEqual(metadata.annotations, { 'helm.sh/resource-policy': 'keep' }, kind);
    }
  });

  test('probes each service, and lets it drain before it is killed', () => {
    for (const { metadata, spec } of declared) {
      const pod = find(resources, 'Deployment', metadata.name)['spec'].template.spec;
      const [container] = pod.containers;
      assert.equal(container.ports[0].containerPort, spec.port);
      assert.equal(container.readinessProbe.httpGet.path, '/readyz');
      assert.equal(container.livenessProbe.httpGet.path, '/livez');
      const { SHUTDOWN_DELAY_MS: delay, SHUTDOWN_GRACE_MS: grace } = find(resources, 'ConfigMap', metadata.name)[
        'data'
      ];
      assert.ok(pod.terminationGracePeriodSeconds * 1000 > Number(delay) + Number(grace));
      assert.equal(find(resources, 'PodDisruptionBudget', metadata.name)['spec'].maxUnavailable, 1);
      assert.equal(pod.topologySpreadConstraints.length, 2);
    }
  });

  test('configures a service by its declaration, and waits for the migrations of each of its databases', () => {
    const { data } = find(resources, 'ConfigMap', 'orders') as unknown as { data: Record<string, string> };
    assert.equal(data['USERS_URL'], 'http://users:8081');
    assert.equal(data['KAFKA_BROKERS'], 'millrace-kafka-bootstrap:9093');
    const { initContainers, containers } = find(resources, 'Deployment', 'orders')['spec'].template.spec;
    assert.deepEqual(initContainers[0].args.slice(1), [
      '--wait',
      'prisma/orders=DATABASE_URL',
      'prisma/orders-read=READ_DATABASE_URL',
    ]);
    const secrets = containers[0].env.flatMap((variable: Resource) => variable['valueFrom']?.secretKeyRef ?? []);
    assert.deepEqual(secrets, [
      { name: 'orders-database', key: 'url' },
      { name: 'orders-read-database', key: 'url' },
      { name: 'orders', key: 'password' },
      { name: 'millrace-cluster-ca-cert', key: 'ca.crt' },
    ]);
  });

  test('gives Node the flags of the local run', () => {
    for (const { metadata } of declared) {
      const { containers } = find(resources, 'Deployment', metadata.name)['spec'].template.spec;
      assert.deepEqual(containers[0].args, [...nodeFlags(metadata.name), `services/${metadata.name}/main.ts`]);
    }
  });

  test('gives the brokers the settings that the services need', () => {
    const { kafka } = find(resources, 'Kafka', 'millrace').spec as { kafka: { config: Record<string, unknown> } };
    for (const [name, value] of Object.entries(brokerSettings())) assert.equal(String(kafka.config[name]), value, name);
  });

  test('mounts the valid queries of the operator into the service that runs them', () => {
    const mounting = declared.filter(({ metadata }) => {
      const { volumes } = find(resources, 'Deployment', metadata.name)['spec'].template.spec;
      const [volume] = volumes.filter(({ name }: { name: string }) => name === 'stream-queries');
      if (volume) {
        const sources = configMapNames.map((name, i) => ({ configMap: i === 0 ? { name } : { name, optional: true } }));
        assert.deepEqual(volume.projected.sources, sources);
      }
      return volume !== undefined;
    });
    assert.deepEqual(
      mounting,
      declared.filter(({ spec }) => spec.streamQueries),
    );
    assert.equal(mounting.length, 1);
  });

  test('rolls only the service whose setting changes', () => {
    const changed = render('millrace', { values: { services: { orders: { config: { LOG_LEVEL: 'debug' } } } } });
    const checksums = (all: Resource[]) =>
      declared.map(({ metadata }) => find(all, 'Deployment', metadata.name)['spec'].template.metadata.annotations);
    const before = checksums(resources);
    const rolled = declared.filter(
      (_, index) => checksums(changed)[index]['checksum/config'] !== before[index]['checksum/config'],
    );
    assert.deepEqual(
      rolled.map(({ metadata }) => metadata.name),
      ['orders'],
    );
  });

  test('refuses unknown values, with their path', () => {
    assert.match(refusal({ kafka: { brokers: 3 } }), /\/kafka.*'brokers' not allowed/);
    assert.match(refusal({ services: { orders: { replicaz: 3 } } }), /\/services\/orders.*'replicaz' not allowed/);
    assert.match(refusal({ postgresql: { mode: 'mysql' } }), /\/postgresql\/mode/);
    assert.match(refusal({ defaults: { replicas: 'two' } }), /\/defaults\/replicas/);
    assert.match(
      refusal({ postgresql: { mode: 'external', external: { cidrs: ['10.0.0.0/8'] } } }),
      /external\.existingSecret must name a Secret/,
    );
  });
});

describe('the disk of the bundled PostgreSQL', { skip: withoutHelm }, () => {
  const disk = (storage: string, storageClassName?: string) => ({
    accessModes: ['ReadWriteOnce'],
    ...(storageClassName === undefined ? {} : { storageClassName }),
    resources: { requests: { storage } },
  });
  const claim = (storage: string): Resource => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data-postgresql-0' },
    spec: disk(storage),
  });
  const running = (storage: string, claimed = storage, storageClass?: string): Resource[] => [
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'postgresql' },
      spec: { volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: disk(storage, storageClass) }] },
    },
    claim(claimed),
  ];
  const storage = (size: string) => ({ postgresql: { storage: size } });

  test('says how it grows, before Helm fails', async () => {
    const message = await refusalIn(running('10Gi'), 'millrace', storage('20Gi'));
    assert.match(message!, /the disk of PostgreSQL has 10Gi, and Helm cannot make it 20Gi/);
    assert.ok(
      message!.includes(
        `kubectl --namespace shop patch persistentvolumeclaim data-postgresql-0 --type merge --patch '{"spec":{"resources":{"requests":{"storage":"20Gi"}}}}'`,
      ),
    );
    assert.match(message!, /kubectl --namespace shop delete statefulset postgresql --cascade=orphan/);
    // the claim alone has grown: the StatefulSet is still in the way
    assert.match((await refusalIn(running('10Gi', '20Gi'), 'millrace', storage('20Gi')))!, /delete statefulset/);
    // an uninstall has left a smaller claim
    assert.match((await refusalIn([claim('10Gi')], 'millrace', storage('20Gi')))!, /patch persistentvolumeclaim/);
    // both are done
    assert.equal(await refusalIn([claim('20Gi')], 'millrace', storage('20Gi')), undefined);
  });

  test('does not shrink, and keeps its class', async () => {
    assert.match((await refusalIn(running('20Gi'), 'millrace', storage('10Gi')))!, /cannot shrink to 10Gi/);
    const fast = { postgresql: { storageClass: 'fast' } };
    assert.match((await refusalIn(running('10Gi'), 'millrace', fast))!, /the class "", which cannot change to "fast"/);
    assert.equal(await refusalIn(running('10Gi', '10Gi', 'fast'), 'millrace', fast), undefined);
  });

  test('stays as it is in any notation, and is nobody’s business in another mode', async () => {
    assert.equal(await refusalIn(running('10Gi'), 'millrace', {}), undefined);
    assert.equal(await refusalIn(running('10Gi'), 'millrace', storage('10240Mi')), undefined);
    assert.equal(await refusalIn(running('1536Mi'), 'millrace', storage('1.5Gi')), undefined);
    assert.equal(await refusalIn([], 'millrace', storage('20Gi')), undefined);
    const external = {
      postgresql: { storage: '20Gi', mode: 'external', external: { existingSecret: 's', cidrs: ['10.0.0.0/8'] } },
    };
    assert.equal(await refusalIn(running('10Gi'), 'millrace', external), undefined);
  });
});

describe('the platform’s chart where others decide', { skip: withoutHelm }, () => {
  const noUser = { runAsUser: null, runAsGroup: null, fsGroup: null };

  test('names no user and no group on OpenShift, for any pod', () => {
    const values = { podSecurityContext: noUser, postgresql: { bundled: { podSecurityContext: noUser } } };
    const resources = render('millrace', { values });
    for (const [name, { spec }] of podTemplates(resources)) {
      assert.equal(spec.securityContext.runAsNonRoot, true, name);
      assert.ok(!/"(runAsUser|runAsGroup|fsGroup)"/.test(JSON.stringify(spec)), name);
    }
    const { podSecurityContext } = find(resources, 'EventService', 'orders')['spec'];
    assert.deepEqual(Object.keys(podSecurityContext).toSorted(), [
      'fsGroupChangePolicy',
      'runAsNonRoot',
      'seccompProfile',
    ]);
    const without = render('millrace', { values: { podSecurityContext: null, containerSecurityContext: null } });
    const { spec } = podTemplates(without).get('Deployment orders')!;
    assert.deepEqual([spec.securityContext, spec.containers[0].securityContext], [{}, {}]);
  });

  test('lets a service take a default back', () => {
    const defaults = { nodeSelector: { disk: 'ssd' }, podAnnotations: { a: 'b' }, config: { LOG_LEVEL: 'debug' } };
    const orders = { nodeSelector: null, podAnnotations: { a: null }, config: { LOG_LEVEL: null }, tolerations: null };
    const all = render('millrace', { values: { defaults, services: { orders } } });
    const pod = (name: string) => find(all, 'Deployment', name)['spec'].template;
    assert.deepEqual(pod('users').spec.nodeSelector, defaults.nodeSelector);
    assert.equal(pod('orders').spec.nodeSelector, undefined);
    assert.equal(pod('orders').metadata.annotations.a, undefined);
    assert.equal(find(all, 'ConfigMap', 'users')['data'].LOG_LEVEL, 'debug');
    assert.equal(find(all, 'ConfigMap', 'orders')['data'].LOG_LEVEL, undefined);
  });
});

describe('an external PostgreSQL', { skip: withoutHelm }, () => {
  const external = (more: object = {}) =>
    render('millrace', {
      values: {
        postgresql: { mode: 'external', external: { existingSecret: 'server', cidrs: ['10.0.0.0/8'] }, ...more },
      },
    });

  test('may be several namespaces’: each has names of its own there', () => {
    const of = (resources: Resource[]) => find(resources, 'EventService', 'orders')['spec'].postgresql;
    assert.deepEqual(of(external()), { superuserSecretRef: { name: 'server' }, databaseName: '{namespace}_{name}' });
    assert.equal(of(external({ databaseName: 'team_{name}' })).databaseName, 'team_{name}');
    // as an EventService would refuse it
    for (const databaseName of ['same', 'Shop.{name}', '{name}{other}', `{name}${'x'.repeat(100)}`])
      assert.match(refusal({ postgresql: { databaseName } }), /\/postgresql\/databaseName/, databaseName);
  });

  test('is connected to with TLS, with the certificates of Secrets', () => {
    const resources = external({ tls: { mode: 'verify-full', caSecret: 'authority', clientSecret: 'client' } });
    const tls = {
      mode: 'verify-full',
      caSecretRef: { name: 'authority' },
      clientCertSecretRef: { name: 'client' },
    } as const;
    // as the operator has them in the Jobs of migrations
    const { volumeMounts, volumes } = certificateMounts(tls);
    const isOf = (all: { name: string }[]) => all.filter(({ name }) => name.startsWith('postgresql-'));
    for (const { metadata, spec } of declared) {
      const pod = find(resources, 'Deployment', metadata.name)['spec'].template.spec;
      for (const container of [...(pod.initContainers ?? []), ...pod.containers])
        assert.deepEqual(isOf(container.volumeMounts ?? []), spec.databases ? volumeMounts : [], metadata.name);
      assert.deepEqual(isOf(pod.volumes), spec.databases ? volumes : [], metadata.name);
      if (spec.databases) assert.deepEqual(find(resources, 'EventService', metadata.name)['spec'].postgresql.tls, tls);
    }
    const known = external({ tls: { mode: 'require' } });
    assert.deepEqual(find(known, 'EventService', 'orders')['spec'].postgresql.tls, { mode: 'require' });
    for (const { mountPath } of volumeMounts) assert.ok(!JSON.stringify(known).includes(mountPath));
    assert.match(refusal({ postgresql: { tls: { mode: 'require' } } }), /the bundled PostgreSQL has no certificate/);
    for (const key of ['caSecret', 'clientSecret']) {
      const tlsWithoutMode = { [key]: 'secret' };
      const noMode = {
        mode: 'external',
        external: { existingSecret: 's', cidrs: ['10.0.0.0/8'] },
        tls: tlsWithoutMode,
      };
      assert.match(refusal({ postgresql: noMode }), new RegExp(`${key} needs postgresql\\.tls\\.mode`));
    }
  });
});

describe('the kinds of the cluster', { skip: withoutHelm }, () => {
  const monitoring = ['ServiceMonitor', 'PrometheusRule', 'GrafanaDashboard'];

  test('decide which resources are created for monitoring', () => {
    const kinds = (apis: string[]) => {
      const found = new Set(render('millrace', { apis }).map(({ kind }) => kind));
      return monitoring.filter((kind) => found.has(kind));
    };
    assert.deepEqual(kinds([]), []);
    assert.deepEqual(kinds(['monitoring.coreos.com/v1']), ['ServiceMonitor', 'PrometheusRule']);
    assert.deepEqual(kinds(['monitoring.coreos.com/v1', 'grafana.integreatly.org/v1beta1']), monitoring);
  });

  test('pods see a renewed password and a renewed authority without a restart', () => {
    const { spec } = podTemplates(render('millrace', {})).get('Deployment orders')!;
    const [container] = spec['containers'];
    const env = (name: string) => container.env.find((one: { name: string }) => one.name === name)?.value;
    const volumeAt = (path: string) => {
      const { name } = container.volumeMounts.find((mount: { mountPath: string }) => mount.mountPath === path);
      return spec['volumes'].find((volume: { name: string }) => volume.name === name);
    };
    const { projected } = volumeAt(env('DATABASE_SECRETS_DIR'));
    const keys = ['database', 'username', 'password', 'nextPassword'];
    assert.deepEqual(
      projected.sources.map(({ secret }: Resource) => [secret.name, secret.optional, secret.items]),
      ['orders', 'orders-read'].map((name) => [
        `${name}-database`,
        true,
        keys.map((key) => ({ key, path: `${name}/${key}` })),
      ]),
    );
    assert.equal(env('KAFKA_SASL_PASSWORD_FILE'), '/etc/millrace-kafka/user/password');
    assert.partialDeepStrictEqual(volumeAt('/etc/millrace-kafka/user').secret, {
      secretName: 'orders',
      optional: true,
    });
    assert.deepEqual(volumeAt(env('KAFKA_SSL_CA_DIR')).secret, {
      secretName: 'millrace-cluster-ca-cert',
      optional: true,
    });
  });

  test('CloudNativePG replaces the bundled PostgreSQL', () => {
    const resources = render('millrace', { values: { postgresql: { mode: 'cloudnative-pg' } } });
    const { spec } = find(resources, 'Cluster', 'postgresql');
    assert.equal(spec.instances, 3);
    assert.deepEqual(spec.postgresql.synchronous, { method: 'any', number: 1 });
    assert.deepEqual([spec.minSyncReplicas, spec.maxSyncReplicas], [undefined, undefined], 'both are deprecated');
    const alone = { mode: 'cloudnative-pg', cloudnativePg: { instances: 1 } };
    const { spec: one } = find(render('millrace', { values: { postgresql: alone } }), 'Cluster', 'postgresql');
    assert.equal(one.postgresql.synchronous, undefined);
    assert.deepEqual(namesOf(resources, 'StatefulSet'), []);
    assert.deepEqual(find(resources, 'EventService', 'orders')['spec'].postgresql, {
      superuserSecretRef: { name: 'postgresql-superuser' },
    });
  });
});
