import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { brokerSettings, eventServices, nodeFlags, streamQueryFiles } from '#platform/declarations';

import { configMapName } from '../../operators/millrace/stream-query/config-map.ts';

import { find, podTemplates, render, withoutHelm, type Resource } from '../testing.ts';

const declared = eventServices();
const names = (resources: Resource[], kind: string) =>
  resources.filter((resource) => resource.kind === kind).map(({ metadata }) => metadata.name);
const refusal = (values: object): string => {
  try {
    render('millrace', { values });
  } catch (error) {
    return (error as { stderr: string }).stderr;
  }
  return assert.fail('Helm accepted it');
};

test('the platform’s chart mounts the ConfigMap that the operator writes the queries to', () => {
  const template = readFileSync(new URL('templates/services.yaml', import.meta.url), 'utf8');
  const volume = `configMap: { name: ${configMapName} }`;
  assert.ok(template.includes(volume), `templates/services.yaml has no volume of the ConfigMap ${configMapName}`);
});

describe('the platform’s chart', { skip: withoutHelm }, () => {
  const resources = withoutHelm ? [] : render('millrace');

  test('has every declared service and query, once', () => {
    const services = declared.map(({ metadata }) => metadata.name);
    assert.deepEqual(names(resources, 'EventService').toSorted(), services);
    assert.deepEqual(
      names(resources, 'Deployment')
        .filter((name) => name !== 'mail-catcher')
        .toSorted(),
      services,
    );
    assert.equal(names(resources, 'StreamQuery').length, streamQueryFiles().length);
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

  test('contains no secret: pods refer to Secrets by name', () => {
    const password = find(resources, 'Secret', 'postgresql-superuser')['data'].password as string;
    const rest = resources.filter(({ kind }) => kind !== 'Secret');
    assert.ok(!JSON.stringify(rest).includes(password));
    assert.ok(!JSON.stringify(rest).includes(Buffer.from(password, 'base64').toString()));
    for (const [, { spec }] of podTemplates(resources))
      for (const { name, value } of spec.containers[0].env)
        if (/PASSWORD|DATABASE_URL|_CA$/.test(name)) assert.equal(value, undefined, name);
  });

  test('keeps data', () => {
    const { spec } = find(resources, 'StatefulSet', 'postgresql');
    assert.deepEqual(spec.persistentVolumeClaimRetentionPolicy, { whenDeleted: 'Retain', whenScaled: 'Retain' });
    assert.equal(find(resources, 'KafkaNodePool', 'dual-role')['spec'].storage.volumes[0].deleteClaim, false);
    for (const [kind, name] of [
      ['Secret', 'postgresql-superuser'],
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

  test('leaves the number of pods to the operator if it scales', () => {
    const scaling = { minReplicas: 2, maxReplicas: 5, lagPerReplica: 100, stabilization: '1m' };
    const scaled = render('millrace', { values: { services: { orders: { scaling } } } });
    assert.deepEqual(find(scaled, 'EventService', 'orders')['spec'].scaling, scaling);
    assert.equal(find(scaled, 'Deployment', 'orders')['spec'].replicas, undefined);
    assert.equal(find(scaled, 'Deployment', 'users')['spec'].replicas, 2);
    assert.match(refusal({ services: { orders: { scaling: { lagPerReplica: 0 } } } }), /lagPerReplica/);
  });

  test('gives the brokers the settings that the services need', () => {
    const { kafka } = find(resources, 'Kafka', 'millrace').spec as { kafka: { config: Record<string, unknown> } };
    for (const [name, value] of Object.entries(brokerSettings())) assert.equal(String(kafka.config[name]), value, name);
  });

  test('mounts the valid queries of the operator into the service that runs them', () => {
    const mounting = declared.filter(({ metadata }) => {
      const { volumes } = find(resources, 'Deployment', metadata.name)['spec'].template.spec;
      return volumes.some((volume: Resource) => volume['configMap']?.name === configMapName);
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
    assert.match(refusal({ postgresql: { mode: 'external' } }), /external\.existingSecret must name a Secret/);
  });
});

describe('the policies of the platform’s chart', { skip: withoutHelm }, () => {
  const resources = withoutHelm ? [] : render('millrace');
  const policies = resources.filter(({ kind }) => kind === 'NetworkPolicy');
  const policy = (name: string) => find(resources, 'NetworkPolicy', name)['spec'];

  test('deny all traffic of every pod by default', () => {
    assert.deepEqual(policy('default-deny').policyTypes, ['Ingress', 'Egress']);
    for (const [name, { metadata }] of podTemplates(resources)) {
      const labels = (metadata as Resource['metadata'] & { labels: Record<string, string> }).labels;
      for (const [key, value] of Object.entries(policy('default-deny').podSelector.matchLabels))
        assert.equal(labels[key], value, name);
    }
  });

  test('allow each declared call by its name, on both sides, on one port', () => {
    for (const { metadata, spec } of declared) {
      for (const callee of spec.calls ?? []) {
        const { port } = declared.find((service) => service.metadata.name === callee)!.spec;
        assert.deepEqual(policy(`${metadata.name}-to-${callee}`).egress[0].ports, [{ port, protocol: 'TCP' }]);
        assert.deepEqual(policy(`${callee}-from-${metadata.name}`).ingress[0].ports, [{ port, protocol: 'TCP' }]);
      }
      assert.equal(
        names(policies, 'NetworkPolicy').includes(`${metadata.name}-to-postgresql`),
        Boolean(spec.databases),
      );
    }
    assert.ok(!names(policies, 'NetworkPolicy').includes('users-to-orders'));
  });

  test('allow all clients only to reach the gateway', () => {
    const open = policies.filter((resource) => JSON.stringify(resource['spec'].ingress ?? []).includes('0.0.0.0/0'));
    assert.deepEqual(
      open.map(({ metadata }) => metadata.name),
      ['gateway-from-clients'],
    );
  });

  test('follow the mail server, the identity provider and an external PostgreSQL', () => {
    const other = render('millrace', {
      values: {
        mail: { smtpUrl: 'smtps://mail.example.com' },
        services: { gateway: { config: { AUTH_JWKS_URL: 'https://id.example.com:8443/jwks' } } },
        postgresql: { mode: 'external', external: { existingSecret: 'server', cidrs: ['10.1.2.3/32'] } },
      },
    });
    const egress = (name: string) => find(other, 'NetworkPolicy', name)['spec'].egress[0];
    assert.deepEqual(egress('notifications-to-mail').ports, [{ port: 465, protocol: 'TCP' }]);
    assert.deepEqual(egress('gateway-to-identity-provider').ports, [{ port: 8443, protocol: 'TCP' }]);
    assert.deepEqual(egress('users-to-postgresql').to, [{ ipBlock: { cidr: '10.1.2.3/32' } }]);
    assert.deepEqual(names(other, 'StatefulSet'), []);
    assert.ok(!names(other, 'Deployment').includes('mail-catcher'));
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

  test('CloudNativePG replaces the bundled PostgreSQL', () => {
    const resources = render('millrace', { values: { postgresql: { mode: 'cloudnative-pg' } } });
    const { spec } = find(resources, 'Cluster', 'postgresql');
    assert.equal(spec.instances, 3);
    assert.deepEqual([spec.minSyncReplicas, spec.maxSyncReplicas], [1, 1]);
    assert.deepEqual(names(resources, 'StatefulSet'), []);
    assert.deepEqual(find(resources, 'EventService', 'orders')['spec'].postgresql, {
      superuserSecret: 'postgresql-superuser',
    });
  });
});
