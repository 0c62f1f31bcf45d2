import { firstSteps } from '#local/first-steps.ts';

/** A command of the setup of a cluster, and its purpose. */
export interface Step {
  say: string;
  command: [program: string, ...args: string[]];
}

export interface UpOptions {
  /** the image to load: see imageOf */
  image: string;
  /** installs CloudNativePG, which the platform then uses */
  cloudNativePg: boolean;
  /** installs the manifests of k8s/observability */
  observability: boolean;
}

const cluster = 'millrace';
const strimzi = { chart: 'oci://quay.io/strimzi-helm/strimzi-kafka-operator', version: '1.2.0' };
const cnpg = { repository: 'https://cloudnative-pg.github.io/charts', chart: 'cloudnative-pg' };

/** The needed tools, and where to get them. */
export const tools: Record<string, string> = {
  docker: 'https://docs.docker.com/get-docker',
  kind: 'https://kind.sigs.k8s.io/docs/user/quick-start#installation',
  kubectl: 'https://kubernetes.io/docs/tasks/tools',
  helm: 'https://helm.sh/docs/intro/install',
};

/** What was built last. */
export const builtImage = 'millrace:built';

/**
 * The name under which an image is installed: what has other contents has another tag. Kubernetes would not roll pods whose image
 * has the same name, nor would the operator migrate.
 * @param id the image's id, such as `sha256:4be5...`
 */
export function imageOf(version: string, id: string): string {
  return `millrace:${version}-${id.replace(/^sha256:/, '').slice(0, 12)}`;
}

/** The steps from an empty machine to a cluster and an image. Each of them may be repeated. */
export function buildSteps(exists: boolean): Step[] {
  const create: Step = {
    say: 'a kind cluster of three nodes',
    command: ['kind', 'create', 'cluster', '--config', 'k8s/kind.yaml'],
  };
  const build: Step = { say: 'the image', command: ['docker', 'build', '--tag', builtImage, '.'] };
  return exists ? [build] : [create, build];
}

/** The steps from there to a ready platform. Each of them may be repeated. */
export function upSteps({ image, cloudNativePg, observability }: UpOptions): Step[] {
  const [repository = '', tag = ''] = image.split(':');
  const helm = (release: string, chart: string, namespace: string, ...more: string[]): Step['command'] => [
    'helm',
    'upgrade',
    '--install',
    release,
    chart,
    '--namespace',
    namespace,
    '--create-namespace',
    '--wait',
    '--timeout=10m',
    `--kube-context=kind-${cluster}`,
    ...more,
  ];
  const ours = ['--set', `image.repository=${repository}`, '--set', `image.tag=${tag}`];
  const collector = 'http://otel-collector.observability:4318';
  const steps: (Step | false)[] = [
    { say: `the image as ${image}`, command: ['docker', 'tag', builtImage, image] },
    { say: 'the image, in the nodes', command: ['kind', 'load', 'docker-image', image, '--name', cluster] },
    {
      say: `Strimzi ${strimzi.version}`,
      command: helm(
        'strimzi',
        strimzi.chart,
        'strimzi',
        '--version',
        strimzi.version,
        '--set',
        'watchAnyNamespace=true',
      ),
    },
    cloudNativePg && {
      say: 'CloudNativePG',
      command: helm('cnpg', cnpg.chart, 'cnpg-system', '--repo', cnpg.repository),
    },
    observability && {
      say: 'OpenTelemetry Collector, Prometheus, Tempo, Grafana and Kafka UI',
      command: [
        'kubectl',
        '--context',
        `kind-${cluster}`,
        'apply',
        '--server-side',
        '--kustomize',
        'k8s/observability',
      ],
    },
    { say: 'the operator', command: helm('millrace-operator', 'charts/millrace-operator', 'millrace-system', ...ours) },
    {
      say: 'the platform',
      command: helm(
        'millrace',
        'charts/millrace',
        'millrace',
        '--values=k8s/kind-values.yaml',
        ...ours,
        ...(cloudNativePg ? ['--set', 'postgresql.mode=cloudnative-pg'] : []),
        ...(observability ? ['--set', `telemetry.otlpEndpoint=${collector}`] : []),
      ),
    },
  ];
  return steps.filter((step) => step !== false);
}

export const downSteps: Step[] = [
  { say: 'the kind cluster, with everything in it', command: ['kind', 'delete', 'cluster', '--name', cluster] },
];

const gatewayUrl = 'http://localhost:8080';

/** The next commands. */
export function nextWords({ observability }: UpOptions): string {
  const grafana = `
Traces, metrics and dashboards:

  kubectl --namespace observability port-forward service/grafana 3000:3000
  http://localhost:3000
`;
  return `
Millrace is ready: ${gatewayUrl}

${firstSteps(gatewayUrl)}

What is declared, and how it is:

  kubectl --namespace millrace get millrace
${observability ? grafana : ''}
npm run cluster:down removes it all.`;
}
