import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { recordsName } from '../../operators/millrace/external-kafka/topic-records.ts';
import { configMapNames } from '../../operators/millrace/stream-query/config-map.ts';

import { find, podTemplates, render, withoutHelm, type Resource } from '../testing.ts';

describe('the operator’s chart', { skip: withoutHelm }, () => {
  const resources = withoutHelm ? [] : render('millrace-operator');
  const ofKind = (kind: string, all = resources) => all.filter((resource) => resource.kind === kind);

  test('has the four kinds, which an upgrade brings up to date and an uninstall leaves', () => {
    const crds = ofKind('CustomResourceDefinition');
    assert.deepEqual(crds.map(({ metadata }) => metadata.name).toSorted(), [
      'deadletterreplays.millrace.dev',
      'eventservices.millrace.dev',
      'projectionrebuilds.millrace.dev',
      'streamqueries.millrace.dev',
    ]);
    for (const crd of crds) {
      const { annotations, labels } = crd.metadata as Resource['metadata'] & Record<string, Record<string, string>>;
      assert.equal(annotations?.['helm.sh/resource-policy'], 'keep');
      assert.equal(labels?.['app.kubernetes.io/name'], 'millrace-operator');
      assert.ok(crd['spec'].versions[0].schema.openAPIV3Schema.properties.spec);
    }
    const without = render('millrace-operator', { values: { crds: { install: false } } });
    assert.deepEqual(ofKind('CustomResourceDefinition', without), []);
  });

  test('runs two restricted pods, of which an eviction takes one', () => {
    const { spec } = [...podTemplates(resources).values()][0]!;
    assert.equal(find(resources, 'Deployment', 'millrace-operator')['spec'].replicas, 2);
    assert.equal(find(resources, 'PodDisruptionBudget', 'millrace-operator')['spec'].maxUnavailable, 1);
    assert.equal(spec['securityContext'].runAsNonRoot, true);
    assert.deepEqual(spec['securityContext'].seccompProfile, { type: 'RuntimeDefault' });
    assert.deepEqual(spec['containers'][0].securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    assert.equal(spec['topologySpreadConstraints'].length, 2);
  });

  test('works everywhere with a ClusterRole, or in named namespaces with a Role in each', () => {
    const own = (all: Resource[]) =>
      ofKind('ClusterRole', all).filter(({ metadata }) => !/-(edit|view)$/.test(metadata.name));
    assert.equal(own(resources).length, 1);
    const narrow = render('millrace-operator', { values: { watchNamespaces: ['shop', 'lab'] } });
    assert.deepEqual(own(narrow), []);
    assert.deepEqual(ofKind('ClusterRoleBinding', narrow), []);
    const roles = ofKind('Role', narrow).filter(({ metadata }) => !metadata.name.endsWith('-lease'));
    assert.deepEqual(
      roles.map(({ metadata }) => (metadata as { namespace?: string }).namespace),
      ['shop', 'lab'],
    );
    assert.equal(find(narrow, 'ConfigMap', 'millrace-operator')['data'].WATCH_NAMESPACES, 'shop,lab');
    // what is there once in a cluster is somebody else's business: without the kinds, every resource is in a namespace
    const byAnAdmin = render('millrace-operator', { values: { watchNamespaces: ['shop'], crds: { install: false } } });
    const clusterWide = byAnAdmin.filter(({ kind }) => /^(Cluster|CustomResource)/.test(kind));
    assert.deepEqual(clusterWide, []);
  });

  test('leaves roles and the ServiceAccount to somebody else', () => {
    const rights = ['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding', 'ServiceAccount'];
    const namesIn = (values: object) =>
      render('millrace-operator', { values })
        .filter(({ kind }) => rights.includes(kind))
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    for (const watchNamespaces of [[], ['shop']])
      assert.deepEqual(namesIn({ watchNamespaces, rbac: { create: false }, serviceAccount: { create: false } }), []);
    const runsAs = (serviceAccount: object) => {
      const all = render('millrace-operator', { values: { serviceAccount } });
      const bindings = [...ofKind('RoleBinding', all), ...ofKind('ClusterRoleBinding', all)];
      const bound = bindings.flatMap(({ subjects }) => (subjects as { name: string }[]).map(({ name }) => name));
      const { spec } = podTemplates(all).get('Deployment millrace-operator')!;
      const created = ofKind('ServiceAccount', all).map(({ metadata }) => metadata.name);
      assert.deepEqual(new Set(bound), new Set([spec['serviceAccountName']]));
      return [spec['serviceAccountName'], ...created];
    };
    assert.deepEqual(runsAs({}), ['millrace-operator', 'millrace-operator']);
    assert.deepEqual(runsAs({ name: 'mine' }), ['mine', 'mine']);
    assert.deepEqual(runsAs({ create: false }), ['default']);
    assert.deepEqual(runsAs({ create: false, name: 'theirs' }), ['theirs']);
  });

  test('may delete topics and Secrets only where a value says that deletions are allowed', () => {
    const deletedIn = (values: object) => {
      const all = render('millrace-operator', { values });
      const allowed = find(all, 'ConfigMap', 'millrace-operator')['data'].DELETION_ALLOWED;
      const roles = [...ofKind('ClusterRole', all), ...ofKind('Role', all)].filter(
        ({ metadata }) => !metadata.name.endsWith('-edit'),
      );
      const rules = roles.flatMap((role) => role['rules'] as { verbs: string[]; resources: string[] }[]);
      return [allowed, rules.filter(({ verbs }) => verbs.includes('delete')).flatMap((rule) => rule.resources)];
    };
    const own = ['projectionrebuilds', 'deadletterreplays', 'jobs'];
    assert.deepEqual(deletedIn({}), ['false', own]);
    for (const watchNamespaces of [[], ['shop']])
      assert.deepEqual(deletedIn({ watchNamespaces, deletion: { allowed: true } }), [
        'true',
        [...own, 'kafkatopics', 'secrets'],
      ]);
  });

  test('lists no Secrets, asks for no wildcard, names its ConfigMaps, and in its own namespace has its Lease and Events only', () => {
    const roles = [...ofKind('ClusterRole'), ...ofKind('Role')].filter(
      ({ metadata }) => !/-(edit|view)$/.test(metadata.name),
    );
    for (const { metadata, rules } of roles as unknown as (Resource & { rules: Record<string, string[]>[] })[]) {
      for (const rule of rules) {
        assert.ok(!JSON.stringify(rule).includes('*'), metadata.name);
        if (rule['resources']!.includes('secrets')) assert.ok(!/list|watch/.test(rule['verbs']!.join()), metadata.name);
        if (rule['resources']!.includes('configmaps'))
          for (const name of rule['resourceNames']!) assert.ok([...configMapNames, recordsName].includes(name), name);
      }
    }
    assert.deepEqual(find(resources, 'Role', 'millrace-operator-lease')['rules'], [
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        resourceNames: [find(resources, 'ConfigMap', 'millrace-operator')['data'].LEASE_NAME],
        verbs: ['get', 'update'],
      },
      { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
    ]);
  });

  test('lets people write the kinds, and leaves the statuses to the operator', () => {
    const edit = ofKind('ClusterRole').find(({ metadata }) => metadata.name.endsWith('-edit'))!;
    const written = (edit['rules'] as unknown as { resources: string[] }[]).flatMap((rule) => rule.resources);
    assert.deepEqual(written.toSorted(), ['deadletterreplays', 'eventservices', 'projectionrebuilds', 'streamqueries']);
  });

  test('lets nobody in but monitoring', () => {
    const { ingress } = find(resources, 'NetworkPolicy', 'millrace-operator')['spec'];
    assert.deepEqual(ingress[0].from, [
      { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'observability' } } },
    ]);
    assert.equal(ingress.length, 1);
  });

  test('names no user on OpenShift, and reaches its DNS servers', () => {
    const dns = (all: Resource[]) => find(all, 'NetworkPolicy', 'millrace-operator')['spec'].egress[0];
    const ports = [53, 5353].flatMap((port) => [{ port, protocol: 'UDP' }, { port }]);
    const linkLocal = [{ ipBlock: { cidr: '169.254.0.0/16' } }];
    assert.deepEqual(dns(resources), { to: [{ namespaceSelector: {} }, ...linkLocal], ports });
    const values = {
      podSecurityContext: { runAsUser: null, runAsGroup: null },
      networkPolicy: { dns: { ports: [5300], cidrs: [] } },
      replicas: null,
    };
    const others = render('millrace-operator', { values });
    const { spec } = podTemplates(others).get('Deployment millrace-operator')!;
    assert.deepEqual(spec['securityContext'], { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    assert.ok(!('replicas' in find(others, 'Deployment', 'millrace-operator')['spec']));
    assert.deepEqual(dns(others), {
      to: [{ namespaceSelector: {} }],
      ports: [{ port: 5300, protocol: 'UDP' }, { port: 5300 }],
    });
  });

  test('reaches the API server, PostgreSQL and Kafka at the addresses that are named', () => {
    const egress = (networkPolicy: object) =>
      find(render('millrace-operator', { values: { networkPolicy } }), 'NetworkPolicy', 'millrace-operator')['spec']
        .egress as { ports?: { port: number }[]; to?: object[] }[];
    const rules = (networkPolicy: object) => egress(networkPolicy).slice(1, -1);
    const to = (cidr: string) => [{ ipBlock: { cidr } }];
    const ports = (...all: number[]) => all.map((port) => ({ port }));
    assert.deepEqual(rules({}), [
      { ports: ports(443, 6443) },
      { ports: ports(5432) },
      { ports: ports(9092, 9093, 9096) },
    ]);
    const cidrs = { apiServerCidrs: ['10.0.0.1/32'], postgresqlCidrs: ['10.1.0.0/16'], kafkaCidrs: ['fd00::/8'] };
    assert.deepEqual(rules({ ...cidrs, postgresqlPorts: [6432] }), [
      { ports: ports(443, 6443), to: to('10.0.0.1/32') },
      { ports: ports(6432), to: to('10.1.0.0/16') },
      { ports: ports(9092, 9093, 9096), to: to('fd00::/8') },
    ]);
    // no ports are no connections, where a rule without ports would be all
    assert.deepEqual(rules({ postgresqlPorts: [], kafkaPorts: [] }), [{ ports: ports(443, 6443) }]);
    const pods = egress(cidrs).at(-1)!.to as { podSelector: { matchLabels?: object; matchExpressions?: object[] } }[];
    assert.deepEqual(
      pods.map(({ podSelector }) => podSelector),
      [
        { matchLabels: { 'app.kubernetes.io/part-of': 'millrace' } },
        { matchLabels: { 'strimzi.io/kind': 'Kafka' } },
        { matchExpressions: [{ key: 'cnpg.io/cluster', operator: 'Exists' }] },
      ],
    );
  });

  test('takes what a cluster wants of its pods and resources', () => {
    const both = { ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv6', 'IPv4'] };
    const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
    const values = {
      ...both,
      image: { digest },
      commonLabels: { team: 'platform' },
      podLabels: { tier: 'operators' },
      extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy:3128' }],
      extraEnvFrom: [{ secretRef: { name: 'proxy' } }],
      extraContainers: [{ name: 'agent', image: 'agent:1' }],
      extraInitContainers: [{ name: 'prepare', image: 'prepare:1' }],
      annotations: { 'reloader/auto': 'true' },
      serviceAnnotations: { owner: 'platform' },
      podSpec: { runtimeClassName: 'gvisor', enableServiceLinks: null },
      extraVolumes: [{ name: 'ca', configMap: { name: 'ca' } }],
      extraVolumeMounts: [{ name: 'ca', mountPath: '/etc/ca' }],
      priorityClassName: 'high',
      topologySpreadConstraints: [],
      serviceAccount: { annotations: { role: 'arn' } },
      networkPolicy: { extraEgress: [{ ports: [{ port: 3128 }] }] },
      monitoring: { labels: { release: 'prometheus' } },
      extraObjects: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'more' } }],
    };
    const all = render('millrace-operator', { values, apis: ['monitoring.coreos.com/v1'] });
    const pod = podTemplates(all).get('Deployment millrace-operator')!;
    const [container, agent] = pod.spec['containers'];
    assert.deepEqual(container.envFrom, values.extraEnvFrom);
    assert.deepEqual([[agent], pod.spec['initContainers']], [values.extraContainers, values.extraInitContainers]);
    assert.deepEqual([pod.spec['runtimeClassName'], pod.spec['enableServiceLinks']], ['gvisor', undefined]);
    const annotations = (kind: string) =>
      (find(all, kind, 'millrace-operator').metadata as { annotations?: object }).annotations;
    assert.deepEqual(
      [annotations('Deployment'), annotations('Service')],
      [values.annotations, values.serviceAnnotations],
    );
    const labels = (resource: Pick<Resource, 'metadata'>) => (resource.metadata as { labels?: object }).labels;
    assert.equal(container.image, `millrace@${digest}`);
    assert.deepEqual(container.env.at(-1), values.extraEnv[0]);
    assert.deepEqual(container.volumeMounts.at(-1), values.extraVolumeMounts[0]);
    assert.deepEqual(pod.spec['volumes'].at(-1), values.extraVolumes[0]);
    assert.deepEqual([pod.spec['priorityClassName'], pod.spec['topologySpreadConstraints']], ['high', []]);
    assert.partialDeepStrictEqual(labels(pod), { tier: 'operators' });
    const { spec: service } = find(all, 'Service', 'millrace-operator');
    assert.deepEqual({ ipFamilyPolicy: service.ipFamilyPolicy, ipFamilies: service.ipFamilies }, both);
    assert.deepEqual(annotations('ServiceAccount'), { role: 'arn' });
    assert.deepEqual(find(all, 'NetworkPolicy', 'millrace-operator')['spec'].egress.at(-1), {
      ports: [{ port: 3128 }],
    });
    assert.partialDeepStrictEqual(labels(find(all, 'ServiceMonitor', 'millrace-operator')), {
      release: 'prometheus',
      team: 'platform',
    });
    for (const resource of all.filter(({ metadata }) => metadata.name !== 'more'))
      assert.partialDeepStrictEqual(labels(resource), { team: 'platform' }, resource.kind);
    find(all, 'ConfigMap', 'more');
  });

  test('lets evictions take what they are told, or anything', () => {
    const budget = (podDisruptionBudget: object | null) =>
      ofKind('PodDisruptionBudget', render('millrace-operator', { values: { podDisruptionBudget } })).map(
        ({ spec }) => ({ ...spec, selector: undefined }),
      );
    assert.deepEqual(budget({ minAvailable: 1, maxUnavailable: null }), [
      { minAvailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector: undefined },
    ]);
    assert.deepEqual(budget(null), []);
    assert.throws(() => budget({ minAvailable: 1 }), /podDisruptionBudget has both minAvailable and maxUnavailable/);
  });

  test('refuses values that it does not know', () => {
    assert.throws(
      () => render('millrace-operator', { values: { watchNamespaces: ['shop', 'shop'] } }),
      /watchNamespaces/,
    );
    assert.throws(() => render('millrace-operator', { values: { replica: 3 } }), /'replica' not allowed/);
    assert.throws(() => render('millrace-operator', { values: { replicas: 0 } }), /replicas.*minimum/);
  });
});
