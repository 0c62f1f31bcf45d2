import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const tests = fileURLToPath(new URL('../..', import.meta.url));
const name = 'chaos';
const group = 'chaos-reader';

/** The name of the pod and of everything that belongs to it. */
export const chaosPod = name;
/** The agent, in the pod. */
export const agentFile = 'tests/cluster/chaos/agent.ts';

/** The sources that the pod needs, below `tests`. */
function sources(): string[] {
  const below = (folder: string) =>
    readdirSync(`${tests}/${folder}`)
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
      .map((file) => `${folder}/${file}`);
  return [...below('chaos'), 'chaos/faults/fault.ts', ...below('cluster/chaos'), 'support/random.ts'];
}

/** What lets the agent run beside the platform: its sources, its user of Kafka, the way in to every pod, and its pod. */
export function chaosObjects(options: {
  image: string;
  kafka: string;
  bootstrap: string;
  ca: string | undefined;
}): object[] {
  const metadata = { name };
  const files = sources();
  const keyOf = (file: string) => file.replaceAll('/', '.');
  const allow = (resource: object, ...operations: string[]) => ({ resource, operations });
  const secret = (variable: string, from: string, key: string) => ({
    name: variable,
    valueFrom: { secretKeyRef: { name: from, key } },
  });
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: Object.fromEntries(files.map((file) => [keyOf(file), readFileSync(`${tests}/${file}`, 'utf8')])),
    },
    {
      apiVersion: 'kafka.strimzi.io/v1',
      kind: 'KafkaUser',
      metadata: { name, labels: { 'strimzi.io/cluster': options.kafka } },
      spec: {
        authentication: { type: 'scram-sha-512' },
        authorization: {
          type: 'simple',
          acls: [
            allow({ type: 'topic', name: '*', patternType: 'literal' }, 'Describe', 'Read'),
            allow({ type: 'group', name: group, patternType: 'prefix' }, 'Describe', 'Read'),
          ],
        },
      },
    },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata,
      spec: {
        podSelector: { matchLabels: { 'app.kubernetes.io/part-of': 'millrace' } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { app: name } } }] }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      // the brokers let pods in that are part of the platform; without its instance no policy selects this one
      metadata: { name, labels: { app: name, 'app.kubernetes.io/part-of': 'millrace' } },
      spec: {
        restartPolicy: 'Never',
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name,
            image: options.image,
            args: ['--eval', 'setInterval(() => undefined, 1_000)'],
            env: [
              { name: 'KAFKA_BROKERS', value: options.bootstrap },
              { name: 'KAFKA_SASL_USERNAME', value: name },
              secret('KAFKA_SASL_PASSWORD', name, 'password'),
              ...(options.ca === undefined ? [] : [secret('KAFKA_SSL_CA', options.ca, 'ca.crt')]),
              secret('PGUSER', 'postgresql-superuser', 'username'),
              secret('PGPASSWORD', 'postgresql-superuser', 'password'),
              { name: 'MAIL_URL', value: 'http://mail-catcher:8025' },
            ],
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
            volumeMounts: [{ name: 'tests', mountPath: '/app/tests' }],
          },
        ],
        volumes: [{ name: 'tests', configMap: { name, items: files.map((path) => ({ key: keyOf(path), path })) } }],
      },
    },
  ];
}
