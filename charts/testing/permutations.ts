/** Values of a chart as a team sets them. permutations.test.ts renders and checks each, tests/cluster applies each for a trial. */
export interface Permutation {
  name: string;
  chart: 'millrace' | 'millrace-operator';
  values: object;
  /** kinds that the cluster knows besides its own, such as monitoring.coreos.com/v1 */
  apis?: string[];
  /** whether a cluster without addresses of IPv6 refuses its Services */
  needsIPv6?: boolean;
}

const prometheus = 'monitoring.coreos.com/v1';
const grafana = 'grafana.integreatly.org/v1beta1';
const external = { existingSecret: 'server', cidrs: ['10.0.0.0/8', 'fd00::/8'], ports: [5432, 6432] };
const anyUser = { runAsUser: null, runAsGroup: null, fsGroup: null };
const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
const everywhere = {
  nodeSelector: { 'kubernetes.io/arch': 'amd64' },
  tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'shop', effect: 'NoSchedule' }],
  affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
  priorityClassName: 'system-cluster-critical',
};
const large = { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '2Gi' } };
const spread = [
  { topologyKey: 'rack', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { a: 'b' } } },
];
const withoutProxy = {
  podAnnotations: { 'sidecar.istio.io/inject': 'false' },
  resources: { limits: { cpu: '500m', memory: '512Mi' } },
};
const extras = {
  extraEnv: [
    { name: 'HTTPS_PROXY', value: 'http://proxy:3128' },
    { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
  ],
  extraVolumes: [{ name: 'company-ca', secret: { secretName: 'company-ca', optional: true } }],
  extraVolumeMounts: [{ name: 'company-ca', mountPath: '/etc/company', readOnly: true }],
};

const platform: Record<string, Omit<Permutation, 'name' | 'chart'>> = {
  'the defaults': { values: {} },
  'prometheus and grafana': { values: { monitoring: { dashboardConfigMaps: true } }, apis: [prometheus, grafana] },
  'labels for a prometheus': {
    values: { monitoring: { labels: { release: 'prometheus' }, interval: '1m' }, commonLabels: { team: 'shop' } },
    apis: [prometheus],
  },
  // the keys of the chart, too: no map may have one twice
  'labels and annotations that meet': {
    values: {
      commonLabels: { team: 'shop', grafana_dashboard: 'mine' },
      defaults: {
        podLabels: { team: 'shop', 'helm.sh/chart': 'mine' },
        podAnnotations: { 'helm.sh/hook': 'mine', 'checksum/config': 'mine' },
      },
      monitoring: { labels: { team: 'metrics', 'app.kubernetes.io/part-of': 'mine' }, dashboardConfigMaps: true },
    },
    apis: [prometheus, grafana],
  },
  'no monitoring': { values: { monitoring: { enabled: false } }, apis: [prometheus, grafana] },
  'three brokers with racks': { values: { kafka: { replicas: 3, rackTopologyKey: 'topology.kubernetes.io/zone' } } },
  'a kafka in memory, in plain text': { values: { kafka: { storage: '', tls: false, version: '4.3.1' } } },
  'a kafka of another chart': { values: { kafka: { create: false, name: 'shared' } } },
  'an external kafka with users of its own': {
    values: {
      kafka: {
        mode: 'external',
        external: {
          bootstrapServers: 'b-1.example.com:9096,b-2.example.com:9096',
          replicas: 3,
          sasl: { mechanism: 'SCRAM-SHA-512', existingSecret: 'msk' },
          tls: { enabled: true, caSecret: 'authority' },
          acls: true,
          cidrs: ['10.0.0.0/8'],
        },
      },
    },
  },
  'an external kafka by plain, with public certificates': {
    values: {
      kafka: {
        mode: 'external',
        external: {
          bootstrapServers: 'pkc-1.example.confluent.cloud:9092',
          sasl: { mechanism: 'PLAIN', existingSecret: 'confluent' },
          cidrs: ['0.0.0.0/0'],
          ports: [9092, 9094],
        },
      },
    },
  },
  'an external kafka in the cluster, without users': {
    values: {
      kafka: {
        mode: 'external',
        external: {
          bootstrapServers: 'redpanda.redpanda:9092',
          sasl: { mechanism: 'none' },
          tls: { enabled: false },
          namespace: 'redpanda',
        },
      },
    },
  },
  'fields of strimzi': {
    values: {
      kafka: {
        spec: { kafka: { config: { 'log.retention.bytes': 10_000_000_000 } }, kafkaExporter: {} },
        nodePoolSpec: { template: { pod: { tolerations: everywhere.tolerations } } },
        storageClass: 'fast',
      },
    },
  },
  cloudnativepg: { values: { postgresql: { mode: 'cloudnative-pg' } }, apis: [prometheus] },
  'one instance of cloudnativepg, with a backup': {
    values: {
      postgresql: {
        mode: 'cloudnative-pg',
        cloudnativePg: { instances: 1, spec: { backup: { retentionPolicy: '30d' } } },
        storageClass: 'fast',
      },
    },
  },
  'a cloudnativepg that is recovered, with a backup elsewhere': {
    values: {
      postgresql: {
        mode: 'cloudnative-pg',
        cloudnativePg: {
          walStorage: '5Gi',
          backup: {
            objectStore: {
              destinationPath: 's3://backups/shop',
              endpointURL: 'https://s3.example.com',
              s3Credentials: {
                accessKeyId: { name: 'backups', key: 'id' },
                secretAccessKey: { name: 'backups', key: 'secret' },
              },
              wal: { compression: 'gzip' },
            },
            schedule: '0 0 3 * * 0',
            retention: '4w',
            serverName: 'postgresql-2',
          },
          recovery: { serverName: 'postgresql', targetTime: '2026-11-29T12:00:00Z' },
        },
      },
    },
    apis: [prometheus],
  },
  'a bundled postgresql that is backed up': {
    values: {
      postgresql: {
        bundled: {
          backup: {
            enabled: true,
            schedule: '0 */6 * * *',
            suspend: true,
            keep: 28,
            storage: '50Gi',
            storageClass: 'archive',
            resources: large,
            deadlineSeconds: 3_600,
            podLabels: { 'sidecar.istio.io/inject': 'false' },
            podAnnotations: { 'linkerd.io/inject': 'disabled' },
            extraEgress: [{ ports: [{ port: 443 }] }],
            podSpec: everywhere,
          },
        },
      },
    },
  },
  'an external postgresql': { values: { postgresql: { mode: 'external', external } } },
  'an external postgresql in the cluster': {
    values: { postgresql: { mode: 'external', external: { existingSecret: 'server', namespace: 'databases' } } },
  },
  'an external postgresql with tls': {
    values: {
      postgresql: {
        mode: 'external',
        external,
        tls: { mode: 'verify-full', caSecret: 'authority', clientSecret: 'client' },
        databaseName: 'team_{name}',
      },
    },
  },
  'a postgresql with a superuser and a disk of one’s own': {
    values: {
      postgresql: {
        storage: '100Gi',
        storageClass: 'fast',
        maxConnections: 1_000,
        bundled: {
          existingSecret: 'mine',
          image: `registry/postgres@${digest}`,
          podLabels: { team: 'shop' },
          podAnnotations: { 'linkerd.io/inject': 'disabled' },
          podSpec: everywhere,
        },
      },
    },
  },
  openshift: { values: { podSecurityContext: anyUser, postgresql: { bundled: { podSecurityContext: anyUser } } } },
  'no security contexts': { values: { podSecurityContext: null, containerSecurityContext: null } },
  'ipv6 alone': { values: { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv6'] }, needsIPv6: true },
  'both families, and other dns': {
    values: {
      ipFamilyPolicy: 'RequireDualStack',
      ipFamilies: ['IPv4', 'IPv6'],
      networkPolicy: { dns: { ports: [5300], cidrs: ['10.0.0.10/32'] } },
    },
    needsIPv6: true,
  },
  'no policies, and no test': { values: { networkPolicy: { enabled: false }, test: { enabled: false } } },
  'clients and connections that are named': {
    values: {
      networkPolicy: { gatewayFrom: [{ namespaceSelector: { matchLabels: { name: 'ingress' } } }] },
      defaults: { extraEgress: [{ to: [{ ipBlock: { cidr: '10.9.0.0/16' } }], ports: [{ port: 3128 }] }] },
      services: { gateway: { config: { AUTH_JWKS_URL: 'https://id.example.com/jwks' } } },
      test: { tokenSecret: 'test-token' },
    },
  },
  'scaling by lag': { values: { defaults: { scaling: { minReplicas: 2, maxReplicas: 6, lagPerReplica: 5_000_000 } } } },
  'autoscaling by cpu': { values: { defaults: { autoscaling: { minReplicas: 2, maxReplicas: 6, cpu: '500m' } } } },
  'both, with metrics and behavior': {
    values: {
      defaults: { scaling: { minReplicas: 1, lagPerReplica: 100 } },
      services: {
        gateway: {
          autoscaling: {
            maxReplicas: 9,
            metrics: [
              {
                type: 'Resource',
                resource: { name: 'memory', target: { type: 'Utilization', averageUtilization: 80 } },
              },
            ],
            behavior: { scaleDown: { stabilizationWindowSeconds: 600 } },
          },
        },
      },
    },
  },
  'somebody else scales': { values: { defaults: { replicas: null }, services: { analytics: { replicas: 0 } } } },
  'an image by digest, with pull secrets': {
    values: {
      image: { repository: 'registry.example.com:5000/team/millrace', digest, pullSecrets: [{ name: 'own' }] },
      global: { imagePullSecrets: ['company', { name: 'mirror' }] },
    },
  },
  'an ingress for several hosts': {
    values: {
      gateway: {
        ingress: {
          enabled: true,
          className: 'nginx',
          hosts: ['shop.example.com', '*.shop.example.com'],
          tls: [{ secretName: 'shop-tls', hosts: ['shop.example.com'] }],
          annotations: { 'cert-manager.io/cluster-issuer': 'letsencrypt' },
        },
      },
    },
  },
  'an httproute': {
    values: {
      gateway: {
        httpRoute: {
          parentRefs: [{ name: 'public', namespace: 'infra' }],
          hostnames: ['a.example'],
          annotations: { a: 'b' },
        },
      },
    },
  },
  'a load balancer': {
    values: {
      gateway: {
        service: {
          type: 'LoadBalancer',
          loadBalancerClass: 'service.k8s.aws/nlb',
          loadBalancerSourceRanges: ['203.0.113.0/24', '2001:db8::/32'],
          externalTrafficPolicy: 'Local',
          annotations: { lb: 'internal' },
        },
        ingress: { enabled: true },
      },
    },
  },
  'a node port, and mails elsewhere': {
    values: {
      gateway: { service: { type: 'NodePort', nodePort: 30_080 } },
      mail: { smtpUrl: 'smtps://mail.example.com', from: '"The shop" <shop@example.com>' },
    },
  },
  'mails by a secret, and traces': {
    values: {
      mail: { smtpUrlSecret: 'smtp', ports: [2525] },
      telemetry: { otlpEndpoint: 'http://otel-collector.observability:4318', sampleRatio: 0.01 },
    },
  },
  'large numbers and odd words in settings': {
    values: {
      defaults: { config: { A: 12_345_678_901, B: 1e6, C: 0.000_001, D: 'yes', E: '#: {', F: 'a\nb', G: false } },
    },
  },
  'more in every pod': {
    values: {
      defaults: {
        ...everywhere,
        ...extras,
        extraEnvFrom: [{ configMapRef: { name: 'more', optional: true } }],
        extraContainers: [{ name: 'agent', image: 'agent:1' }],
        extraInitContainers: [{ name: 'prepare', image: 'prepare:1' }],
        annotations: { 'reloader.stakater.com/auto': 'true' },
        podLabels: { team: 'shop' },
        podAnnotations: { 'sidecar.istio.io/inject': 'false' },
        serviceAnnotations: { owner: 'shop' },
        serviceAccount: { create: true, annotations: { role: 'arn' } },
        podSpec: { schedulerName: 'other', hostAliases: [{ ip: '10.0.0.1', hostnames: ['legacy'] }] },
        podDisruptionBudget: { maxUnavailable: '50%' },
        shutdownDelaySeconds: 0,
        shutdownGraceSeconds: 600,
        migration: { ...withoutProxy, nodeSelector: { 'kubernetes.io/arch': null } },
      },
      mail: { catcher: { ...withoutProxy, priorityClassName: null, affinity: null } },
      test: { pod: { ...withoutProxy, tolerations: [], podLabels: { team: null, tier: 'test' } } },
      services: {
        analytics: {
          topologySpreadConstraints: spread,
          serviceAccount: { create: false, name: 'theirs' },
          migration: { podAnnotations: null, resources: null },
        },
      },
    },
  },
  'other sizes': {
    values: {
      enabled: true,
      image: { tag: '1.2.3', pullPolicy: 'Always' },
      defaults: { resources: large },
      kafka: { heap: '1g', resources: large, entityOperatorResources: large, compression: 'zstd' },
      postgresql: { resources: large },
    },
  },
  'other namespaces, and another cloudnativepg': {
    values: {
      networkPolicy: { operatorNamespace: 'ops', monitoringNamespace: 'metrics', cloudnativePgNamespace: 'databases' },
      postgresql: { mode: 'cloudnative-pg', cloudnativePg: { image: `registry/postgresql@${digest}` } },
      telemetry: { otlpEndpoint: 'https://collector.metrics' },
    },
  },
  'further objects': {
    values: {
      extraObjects: [
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: '{{ .Release.Name }}-more' } },
        'apiVersion: v1\nkind: Secret\nmetadata: { name: {{ .Release.Name }}-secret }',
      ],
    },
  },
};

const operator: Record<string, Omit<Permutation, 'name' | 'chart'>> = {
  'the defaults': { values: {} },
  'some namespaces': { values: { watchNamespaces: ['shop', 'lab'], crds: { install: false } } },
  'some namespaces, with data that goes': { values: { watchNamespaces: ['shop'], deletion: { allowed: true } } },
  'the roles of a platform team': {
    values: { rbac: { create: false }, serviceAccount: { create: false, name: 'theirs' } },
  },
  openshift: { values: { podSecurityContext: null, containerSecurityContext: null, replicas: null } },
  'its settings': {
    values: {
      enabled: true,
      image: { repository: 'registry/millrace', tag: '1.2.3', pullPolicy: 'Always' },
      leaseSeconds: 30,
      logLevel: 'debug',
      resources: large,
      networkPolicy: {
        dns: { ports: [5300], cidrs: [] },
        apiServerPorts: [8443],
        apiServerCidrs: ['10.0.0.1/32'],
        kafkaPorts: [19_092],
        kafkaCidrs: ['10.1.0.0/16', 'fd00::/8'],
        postgresqlPorts: [6432],
        postgresqlCidrs: ['10.2.3.4/32'],
        monitoringNamespace: 'metrics',
      },
      monitoring: { interval: '1m' },
    },
    apis: [prometheus],
  },
  'labels and annotations that meet': {
    values: {
      commonLabels: { team: 'shop', grafana_dashboard: 'mine', 'rbac.authorization.k8s.io/aggregate-to-view': 'mine' },
      podAnnotations: { 'checksum/config': 'mine' },
      monitoring: { labels: { team: 'metrics', 'app.kubernetes.io/name': 'mine' }, dashboardConfigMaps: true },
    },
    apis: [prometheus, grafana],
  },
  'neither policies nor monitoring': {
    values: { networkPolicy: { enabled: false }, monitoring: { enabled: false } },
    apis: [prometheus, grafana],
  },
  'everything else': {
    values: {
      ...everywhere,
      ...extras,
      image: { digest, pullSecrets: [{ name: 'own' }] },
      commonLabels: { team: 'platform' },
      extraEnvFrom: [{ configMapRef: { name: 'more', optional: true } }],
      extraContainers: [{ name: 'agent', image: 'agent:1' }],
      extraInitContainers: [{ name: 'prepare', image: 'prepare:1' }],
      annotations: { 'reloader.stakater.com/auto': 'true' },
      serviceAnnotations: { owner: 'platform' },
      podSpec: { runtimeClassName: 'gvisor' },
      podDisruptionBudget: { minAvailable: 1, maxUnavailable: null },
      podLabels: { tier: 'operators' },
      podAnnotations: { a: 'b' },
      topologySpreadConstraints: spread,
      serviceAccount: { annotations: { role: 'arn' } },
      ipFamilyPolicy: 'PreferDualStack',
      ipFamilies: ['IPv4'],
      extraObjects: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'more' } }],
      networkPolicy: { extraEgress: [{ ports: [{ port: 3128 }] }] },
      monitoring: { labels: { release: 'prometheus' }, dashboardConfigMaps: true },
    },
    apis: [prometheus, grafana],
  },
};

export const permutations: readonly Permutation[] = [
  ...Object.entries(platform).map(([name, one]): Permutation => ({ name, chart: 'millrace', ...one })),
  ...Object.entries(operator).map(([name, one]): Permutation => ({ name, chart: 'millrace-operator', ...one })),
];
