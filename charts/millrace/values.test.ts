import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { eventServices } from '#platform/declarations';

import { migrationJob } from '../testing/migration-job.ts';
import { find, podTemplates, refusalIn, refusalOf, render, withoutHelm, type Resource } from '../testing.ts';

const ofKind = (resources: Resource[], kind: string) => resources.filter((resource) => resource.kind === kind);

describe('the values of the platform’s chart', { skip: withoutHelm }, () => {
  test('add to the pods of every service, or of one', () => {
    const defaults = {
      extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy:3128' }],
      extraEnvFrom: [{ secretRef: { name: 'proxy' } }],
      extraVolumes: [{ name: 'company-ca', configMap: { name: 'ca' } }],
      extraVolumeMounts: [{ name: 'company-ca', mountPath: '/etc/company', readOnly: true }],
      extraContainers: [{ name: 'agent', image: 'agent:1' }],
      extraInitContainers: [{ name: 'prepare', image: 'prepare:1' }],
      annotations: { 'reloader/auto': 'true' },
      podLabels: { team: 'shop' },
      serviceAnnotations: { 'company/owner': 'shop' },
      podSpec: { runtimeClassName: 'gvisor', enableServiceLinks: null },
    };
    const constraints = [{ topologyKey: 'rack', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' }];
    const resources = render('millrace', {
      values: {
        defaults,
        services: { orders: { extraContainers: null, topologySpreadConstraints: constraints, podSpec: null } },
        gateway: { service: { annotations: { 'cloud/lb': 'internal' } } },
      },
    });
    const pods = podTemplates(resources);
    const { metadata, spec } = pods.get('Deployment users')!;
    const [container, agent] = spec['containers'];
    assert.deepEqual(container.env.at(-1), defaults.extraEnv[0]);
    assert.deepEqual(container.envFrom, defaults.extraEnvFrom);
    assert.deepEqual(container.volumeMounts.at(-1), defaults.extraVolumeMounts[0]);
    assert.deepEqual(spec['volumes'].at(-1), defaults.extraVolumes[0]);
    assert.deepEqual(agent, defaults.extraContainers[0]);
    assert.deepEqual(
      spec['initContainers'].map(({ name }: { name: string }) => name),
      ['migrated', 'prepare'],
    );
    assert.deepEqual([spec['runtimeClassName'], spec['enableServiceLinks']], ['gvisor', undefined]);
    assert.equal((metadata as unknown as { labels: Record<string, string> }).labels['team'], 'shop');
    assert.deepEqual((find(resources, 'Deployment', 'users').metadata as { annotations?: object }).annotations, {
      'reloader/auto': 'true',
    });
    const orders = pods.get('Deployment orders')!.spec;
    assert.equal(orders['containers'].length, 1);
    assert.equal(orders['runtimeClassName'], undefined);
    assert.deepEqual(orders['topologySpreadConstraints'], constraints);
    assert.equal(spec['topologySpreadConstraints'].length, 2);
    const { annotations } = find(resources, 'Service', 'gateway').metadata as { annotations?: object };
    assert.deepEqual(annotations, { 'company/owner': 'shop', 'cloud/lb': 'internal' });
  });

  /** The templates of all pods, those of the operator's Jobs, too. */
  const everyPod = (values: object) => {
    const resources = render('millrace', { values });
    const jobs = ofKind(resources, 'EventService')
      .filter(({ spec }) => spec.databases)
      .map(migrationJob);
    return podTemplates([...resources, ...jobs]);
  };
  const limitsOf = ({ spec }: { spec: Resource }) => spec['containers'][0].resources.limits;

  test('say where every pod runs, and what is known of it, those of migrations, the mail catcher and the test, too', () => {
    const where = {
      nodeSelector: { pool: 'shop' },
      tolerations: [{ key: 'dedicated', operator: 'Exists' }],
      affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
      priorityClassName: 'high',
    };
    const [podLabels, podAnnotations] = [{ team: 'shop' }, { 'company/owner': 'shop' }];
    const pods = everyPod({
      defaults: { ...where, podLabels, podAnnotations, resources: { limits: { cpu: '1' } } },
      postgresql: { bundled: { podSpec: where, backup: { enabled: true, podSpec: where } } },
    });
    const others = ['CronJob postgresql-backup', 'StatefulSet postgresql'];
    for (const [name, pod] of pods) {
      assert.partialDeepStrictEqual(pod.spec, where, name);
      if (others.includes(name)) continue;
      assert.partialDeepStrictEqual(pod.metadata, { labels: podLabels, annotations: podAnnotations }, name);
      assert.equal(limitsOf(pod).cpu, '1', name);
    }
    const jobs = ['analytics', 'notifications', 'orders', 'users'].map((name) => `Job ${name}-migrate-m`);
    for (const name of [...others, ...jobs, 'Deployment mail-catcher', 'Pod place-order'])
      assert.ok(pods.has(name), name);
  });

  test('make the pods of migrations, of the mail catcher and of the test differ', () => {
    const meshed = { 'sidecar.istio.io/inject': 'true' };
    const own = {
      priorityClassName: null,
      podAnnotations: { 'sidecar.istio.io/inject': 'false' },
      resources: { limits: { cpu: '250m' } },
    };
    const pods = everyPod({
      defaults: {
        priorityClassName: 'high',
        podAnnotations: meshed,
        resources: { limits: { cpu: '2' } },
        migration: own,
        podSpec: { runtimeClassName: 'gvisor', dnsPolicy: 'Default', containers: [] },
        serviceAccount: { create: true },
      },
      services: { users: { migration: { podAnnotations: null } } },
      mail: { catcher: own },
      test: { pod: own },
    });
    for (const name of ['Job orders-migrate-m', 'Deployment mail-catcher', 'Pod place-order']) {
      const pod = pods.get(name)!;
      assert.partialDeepStrictEqual(pod.metadata, { annotations: own.podAnnotations }, name);
      assert.equal(pod.spec['priorityClassName'], undefined, name);
      assert.partialDeepStrictEqual(pod.spec, { runtimeClassName: 'gvisor', dnsPolicy: 'Default' }, name);
      assert.equal(limitsOf(pod).cpu, '250m', name);
    }
    const { metadata, spec } = pods.get('Job users-migrate-m')!;
    assert.ok(!('annotations' in metadata));
    assert.equal(spec['serviceAccountName'], 'users');
    assert.partialDeepStrictEqual(pods.get('Pod place-order')!.metadata, { annotations: { 'helm.sh/hook': 'test' } });
    assert.ok(!('serviceAccountName' in pods.get('Deployment mail-catcher')!.spec), 'it has no account of its own');
  });

  test('give a service an account of its own, or another one', () => {
    const annotations = { 'eks.amazonaws.com/role-arn': 'arn' };
    const resources = render('millrace', {
      values: {
        services: {
          orders: { serviceAccount: { create: true, annotations } },
          users: { serviceAccount: { name: 'theirs' } },
        },
      },
    });
    const accounts = ofKind(resources, 'ServiceAccount');
    assert.deepEqual(
      accounts.map(({ metadata }) => [metadata.name, (metadata as { annotations?: object }).annotations]),
      [['orders', annotations]],
    );
    const account = (name: string) => podTemplates(resources).get(`Deployment ${name}`)!.spec['serviceAccountName'];
    assert.deepEqual(['orders', 'users', 'gateway'].map(account), ['orders', 'theirs', undefined]);
  });

  test('give every pod of the image the account that all have, those of migrations, the mail catcher and the test, too', () => {
    const accounts = (values: object) =>
      new Map(
        [...everyPod(values)].map(([name, { spec }]) => [name, spec['serviceAccountName'] as string | undefined]),
      );
    const shared = { serviceAccount: { name: 'theirs' } };
    const services = { users: { serviceAccount: { name: 'users-own' } } };
    for (const [name, account] of accounts({ defaults: shared, services }))
      if (name !== 'StatefulSet postgresql') assert.equal(account, /users/.test(name) ? 'users-own' : 'theirs', name);
    // of podSpec is what comes over everything
    const over = accounts({ defaults: { ...shared, podSpec: { serviceAccountName: 'over' } } });
    for (const name of ['Deployment orders', 'Job orders-migrate-m', 'Deployment mail-catcher', 'Pod place-order'])
      assert.equal(over.get(name), 'over', name);
  });

  test('say how many pods an eviction takes or leaves, or that nobody asks', () => {
    const resources = render('millrace', {
      values: {
        defaults: { podDisruptionBudget: { maxUnavailable: '50%' } },
        services: {
          orders: { podDisruptionBudget: { minAvailable: 1, maxUnavailable: null } },
          users: { podDisruptionBudget: null },
        },
      },
    });
    const budgets = ofKind(resources, 'PodDisruptionBudget').map(({ metadata, spec }) => [
      metadata.name,
      { ...spec, selector: undefined },
    ]);
    const usual = { unhealthyPodEvictionPolicy: 'AlwaysAllow', selector: undefined };
    assert.deepEqual(
      budgets,
      eventServices()
        .map(({ metadata }) => metadata.name)
        .filter((name) => name !== 'users')
        .toSorted()
        .map((name) => [name, { ...usual, ...(name === 'orders' ? { minAvailable: 1 } : { maxUnavailable: '50%' }) }]),
    );
  });

  test('leave the test out, or give it a token', () => {
    const names = ({ kind, metadata }: Resource) => `${kind} ${metadata.name}`;
    const ofTest = (values: object) =>
      render('millrace', { values })
        .map(names)
        .filter((name) => name.includes('place-order'));
    assert.deepEqual(ofTest({ test: { enabled: false } }), []);
    assert.ok(ofTest({}).includes('Pod place-order'));
    const values = { test: { tokenSecret: 'token' } };
    const { containers } = podTemplates(render('millrace', { values })).get('Pod place-order')!.spec;
    const valueFrom = { secretKeyRef: { name: 'token', key: 'token' } };
    assert.deepEqual(containers[0].env.at(-1), { name: 'GATEWAY_TOKEN', valueFrom });
  });

  test('take a fraction as text, as --set writes it', () => {
    const values = (sampleRatio: string) => ({ telemetry: { otlpEndpoint: 'http://collector:4318', sampleRatio } });
    const { containers } = podTemplates(render('millrace', { values: values('0.1') })).get('Deployment orders')!.spec;
    const value = '0.1';
    assert.deepEqual(
      containers[0].env.filter(({ name }: { name: string }) => name === 'OTEL_TRACES_SAMPLER_ARG'),
      [{ name: 'OTEL_TRACES_SAMPLER_ARG', value }],
    );
    assert.match(refusalOf('millrace', values('1.1')), /\/telemetry\/sampleRatio/);
  });

  test('name no service that there is not', () => {
    const names = eventServices().map(({ metadata }) => metadata.name);
    const message = refusalOf('millrace', { services: { ordrs: { replicas: 9 } } });
    assert.ok(
      message.includes(
        `services.ordrs: no service has this name. The declared ones are ${names.toSorted().join(', ')}.`,
      ),
    );
  });

  test('name an image by its digest, in pods and migrations', () => {
    const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
    const resources = render('millrace', { values: { image: { repository: 'registry/millrace', digest } } });
    const image = `registry/millrace@${digest}`;
    for (const [name, { spec }] of podTemplates(resources))
      if (!name.startsWith('StatefulSet')) assert.equal(spec['containers'][0].image, image, name);
    assert.equal(find(resources, 'EventService', 'orders')['spec'].image, image);
    assert.throws(() => render('millrace', { values: { image: { digest: 'latest' } } }), /\/image\/digest/);
  });

  test('write a large number as it is', () => {
    const config = { MANY: 1_000_000, MORE: 12_345_678_901, SOME: 0.25, ON: true, WORD: '1e6' };
    const { data } = find(render('millrace', { values: { defaults: { config } } }), 'ConfigMap', 'orders') as Resource;
    assert.deepEqual(
      Object.keys(config).map((key) => data[key]),
      ['1000000', '12345678901', '0.25', 'true', '1e6'],
    );
  });

  test('say which load balancer the gateway has, and for whom', () => {
    const service = {
      type: 'LoadBalancer',
      loadBalancerClass: 'service.k8s.aws/nlb',
      loadBalancerSourceRanges: ['203.0.113.0/24'],
      externalTrafficPolicy: 'Local',
    };
    const resources = render('millrace', { values: { gateway: { service } } });
    for (const { metadata, spec } of ofKind(resources, 'Service'))
      if (metadata.name === 'gateway') assert.partialDeepStrictEqual(spec, service);
      else for (const key of Object.keys(service)) assert.ok(!(key in spec), `${metadata.name} ${key}`);
    assert.deepEqual(Object.keys(find(render('millrace'), 'Service', 'gateway')['spec']).toSorted(), [
      'ports',
      'selector',
      'type',
    ]);
  });

  test('open the gateway by an Ingress or an HTTPRoute, for several hosts', () => {
    const hosts = ['shop.example.com', '*.shop.example.com'];
    const tls = [{ secretName: 'shop-tls', hosts }];
    const parentRefs = [{ name: 'public', namespace: 'infrastructure' }];
    const resources = render('millrace', {
      values: { gateway: { ingress: { enabled: true, hosts, tls }, httpRoute: { parentRefs, hostnames: hosts } } },
    });
    const ingress = find(resources, 'Ingress', 'gateway')['spec'];
    assert.deepEqual(
      ingress.rules.map(({ host }: { host: string }) => host),
      hosts,
    );
    assert.deepEqual(ingress.tls, tls);
    const route = find(resources, 'HTTPRoute', 'gateway')['spec'];
    assert.deepEqual([route.parentRefs, route.hostnames], [parentRefs, hosts]);
    assert.deepEqual(route.rules[0].backendRefs, [{ name: 'gateway', port: 8080 }]);
    const [rule, ...more] = find(
      render('millrace', { values: { gateway: { ingress: { enabled: true } } } }),
      'Ingress',
      'gateway',
    )['spec'].rules;
    assert.deepEqual([rule.host, more], [undefined, []]);
    assert.deepEqual(ofKind(render('millrace'), 'HTTPRoute'), []);
  });

  test('give every Service, and Kafka’s, addresses of both families', () => {
    const both = { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6', 'IPv4'] };
    const resources = render('millrace', { values: both });
    const services = ofKind(resources, 'Service');
    assert.ok(services.length > 5);
    for (const { metadata, spec } of services)
      assert.deepEqual({ ipFamilyPolicy: spec.ipFamilyPolicy, ipFamilies: spec.ipFamilies }, both, metadata.name);
    const { template } = find(resources, 'Kafka', 'millrace')['spec'].kafka;
    assert.deepEqual(template, { bootstrapService: both, brokersService: both });
  });

  test('label what is not a pod, and Prometheus’ resources', () => {
    const resources = render('millrace', {
      values: { commonLabels: { team: 'shop' }, monitoring: { labels: { release: 'prometheus' } } },
      apis: ['monitoring.coreos.com/v1'],
    });
    const labels = (resource: Resource) => (resource.metadata as { labels?: Record<string, string> }).labels ?? {};
    const copied = ['Kafka', 'KafkaNodePool'];
    for (const resource of resources)
      assert.equal(labels(resource)['team'], copied.includes(resource.kind) ? undefined : 'shop', resource.kind);
    const ofPrometheus = ['ServiceMonitor', 'PrometheusRule'].map((kind) => find(resources, kind, 'millrace'));
    assert.deepEqual(
      ofPrometheus.map((resource) => labels(resource)['release']),
      ['prometheus', 'prometheus'],
    );
    for (const [name, { metadata }] of podTemplates(resources))
      if (!name.startsWith('Pod ')) assert.equal(labels({ kind: '', metadata })['team'], undefined, name);
    const wrong = { commonLabels: { 'app.kubernetes.io/name': 'mine' } };
    assert.throws(() => render('millrace', { values: wrong }), /invalid propertyName 'app\.kubernetes\.io\/name'/);
  });

  test('give a label of one place rather than the common one, and an annotation of the chart rather than another', () => {
    const resources = render('millrace', {
      values: {
        commonLabels: { team: 'shop' },
        defaults: {
          podLabels: { team: 'orders' },
          podAnnotations: { 'checksum/config': 'mine', 'helm.sh/hook': 'mine', a: 'b' },
        },
        monitoring: { labels: { team: 'metrics' } },
      },
      apis: ['monitoring.coreos.com/v1'],
    });
    const labels = ({ metadata }: Resource) => (metadata as { labels?: Record<string, string> }).labels!['team'];
    assert.equal(labels(find(resources, 'Pod', 'place-order')), 'orders');
    assert.equal(labels(find(resources, 'ConfigMap', 'place-order')), 'shop');
    assert.equal(labels(find(resources, 'ServiceMonitor', 'millrace')), 'metrics');
    const annotations = (name: string) =>
      (podTemplates(resources).get(name)!.metadata as { annotations?: Record<string, string> }).annotations!;
    assert.match(annotations('Deployment orders')['checksum/config']!, /^[0-9a-f]{64}$/);
    assert.deepEqual(
      [annotations('Pod place-order')['helm.sh/hook'], annotations('Pod place-order')['a']],
      ['test', 'b'],
    );
  });

  test('bring further resources, as objects or templates', () => {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: '{{ .Release.Name }}-ca' } };
    const text = 'apiVersion: v1\nkind: Secret\nmetadata: { name: {{ .Release.Name }}-password }';
    const resources = render('millrace', { values: { extraObjects: [object, text] } });
    find(resources, 'ConfigMap', 'demo-ca');
    find(resources, 'Secret', 'demo-password');
  });

  test('put fields over the spec of PostgreSQL’s pod or Cluster', () => {
    const bundled = { podSpec: { priorityClassName: 'high' } };
    const resources = render('millrace', { values: { postgresql: { bundled } } });
    assert.equal(podTemplates(resources).get('StatefulSet postgresql')!.spec['priorityClassName'], 'high');
    const spec = { backup: { retentionPolicy: '30d' }, postgresql: { parameters: { work_mem: '8MB' } } };
    const others = render('millrace', { values: { postgresql: { mode: 'cloudnative-pg', cloudnativePg: { spec } } } });
    const cluster = find(others, 'Cluster', 'postgresql')['spec'];
    assert.deepEqual(cluster.backup, spec.backup);
    assert.equal(cluster.postgresql.parameters.work_mem, '8MB');
    assert.equal(cluster.postgresql.parameters.wal_compression, 'on');
  });
});

describe('a second release in a namespace', { skip: withoutHelm }, () => {
  const gateway = (release: string): Resource => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'gateway', annotations: { 'meta.helm.sh/release-name': release } } as Resource['metadata'],
  });

  test('is refused, because its services would have the same names', async () => {
    const message = await refusalIn([gateway('first')], 'millrace', {});
    assert.match(message!, /The namespace shop has the release first of this chart/);
    assert.match(message!, /Install this one in a namespace of its own, or uninstall first first/);
    assert.equal(await refusalIn([gateway('demo')], 'millrace', {}), undefined);
  });
});
