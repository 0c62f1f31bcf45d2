import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { find, namesOf, podTemplates, render, withoutHelm, type Resource } from '../testing.ts';

const msk = {
  bootstrapServers: 'b-1.example.com:9096,b-2.example.com:9098',
  sasl: { mechanism: 'SCRAM-SHA-512', existingSecret: 'msk' },
  cidrs: ['10.0.0.0/8'],
};
const withKafka = (external: object, rest: object = {}) =>
  render('millrace', { values: { kafka: { mode: 'external', external }, ...rest } });
const specOf = (resources: Resource[]) => find(resources, 'EventService', 'analytics')['spec'].kafka;
const policyOf = (resources: Resource[]) =>
  find(resources, 'NetworkPolicy', 'analytics-to-kafka')['spec'].egress[0] as {
    to: object[];
    ports: { port: number }[];
  };

interface Variable {
  name: string;
  value?: string;
  valueFrom?: { secretKeyRef: { name: string; key: string } };
}

/** What the container of analytics has of Kafka: settings of its ConfigMap, and Secrets with their keys. */
function settingsOf(resources: Resource[]): Record<string, string> {
  const config = find(resources, 'ConfigMap', 'analytics')['data'] as Record<string, string>;
  const { containers } = podTemplates(resources).get('Deployment analytics')!.spec;
  const env = containers[0].env as Variable[];
  const variables = env.map(({ name, value, valueFrom }) => {
    const { name: secret, key } = valueFrom?.secretKeyRef ?? {};
    return [name, value ?? `${secret}/${key}`];
  });
  const all = [...Object.entries(config), ...variables] as [string, string][];
  return Object.fromEntries(all.filter(([name]) => /^KAFKA_(BROKERS|S)/.test(name)));
}

describe('the platform’s chart with an external Kafka', { skip: withoutHelm }, () => {
  test('creates none, declares it, and connects as the one user over TLS', () => {
    const resources = withKafka(msk);
    assert.deepEqual([namesOf(resources, 'Kafka'), namesOf(resources, 'KafkaNodePool')], [[], []]);
    const { bootstrapServers, sasl } = msk;
    const { mechanism, existingSecret: name } = sasl;
    assert.deepEqual(specOf(resources), {
      external: { bootstrapServers, sasl: { mechanism, secretRef: { name } }, tls: {} },
    });
    assert.deepEqual(settingsOf(resources), {
      KAFKA_BROKERS: bootstrapServers,
      KAFKA_SASL_MECHANISM: mechanism,
      KAFKA_SASL_USERNAME: 'msk/username',
      KAFKA_SASL_USERNAME_FILE: '/etc/millrace-kafka/user/username',
      KAFKA_SASL_PASSWORD: 'msk/password',
      KAFKA_SASL_PASSWORD_FILE: '/etc/millrace-kafka/user/password',
      KAFKA_SSL: 'true',
    });
    assert.deepEqual(
      [policyOf(resources).to, policyOf(resources).ports.map(({ port }) => port)],
      [[{ ipBlock: { cidr: '10.0.0.0/8' } }], [9096, 9098]],
    );
  });

  test('gives each service its own user, and its certificates, where it says so', () => {
    const resources = withKafka({ ...msk, acls: true, replicas: 3, tls: { caSecret: 'authority' }, ports: [9096] });
    const { external, replicas } = specOf(resources);
    assert.deepEqual([external.acls, external.tls, replicas], [true, { caSecretRef: { name: 'authority' } }, 3]);
    // both are mounted, because an API key that is renewed is another username
    const { volumes } = podTemplates(resources).get('Deployment analytics')!.spec;
    const { secret } = volumes.find(({ name }: { name: string }) => name === 'kafka-user');
    const items = ['username', 'password'].map((key) => ({ key, path: key }));
    assert.deepEqual(secret, { secretName: 'analytics-kafka', optional: true, items });
    const { KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD, KAFKA_SSL_CA } = settingsOf(resources);
    assert.deepEqual(
      [KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD, KAFKA_SSL_CA],
      ['analytics-kafka/username', 'analytics-kafka/password', 'authority/ca.crt'],
    );
    assert.deepEqual(
      policyOf(resources).ports.map(({ port }) => port),
      [9096],
    );
  });

  test('takes a Kafka of the cluster, without users and without TLS', () => {
    const open = { bootstrapServers: 'redpanda.shop-kafka:9092', sasl: { mechanism: 'none' }, tls: { enabled: false } };
    const resources = withKafka({ ...open, namespace: 'shop-kafka' });
    assert.deepEqual(specOf(resources), { external: { bootstrapServers: open.bootstrapServers } });
    assert.deepEqual(settingsOf(resources), { KAFKA_BROKERS: open.bootstrapServers });
    const labels = { 'kubernetes.io/metadata.name': 'shop-kafka' };
    assert.deepEqual(policyOf(resources).to, [{ namespaceSelector: { matchLabels: labels } }]);
  });

  const { cidrs: _, ...nowhere } = msk;
  const faults: [string, object, RegExp][] = [
    ['no brokers', { ...msk, bootstrapServers: '' }, /kafka\.external\.bootstrapServers must name brokers/],
    [
      'no Secret',
      { ...msk, sasl: {} },
      /existingSecret must name a Secret with username and password, for SCRAM-SHA-512/,
    ],
    ['a Secret for nobody', { ...msk, sasl: { ...msk.sasl, mechanism: 'none' } }, /with none, clients do not say who/],
    ['rights of nobody', { ...msk, sasl: { mechanism: 'none' }, acls: true }, /acls needs .*mechanism/],
    [
      'a password for all to read',
      { ...msk, sasl: { ...msk.sasl, mechanism: 'PLAIN' }, tls: { enabled: false } },
      /PLAIN needs kafka\.external\.tls\.enabled/,
    ],
    ['certificates for nothing', { ...msk, tls: { enabled: false, caSecret: 'a' } }, /caSecret needs .*tls\.enabled/],
    [
      'policies that let nobody out',
      nowhere,
      /cidrs must have the addresses of its servers.*or kafka\.external\.namespace/,
    ],
  ];
  for (const [what, external, message] of faults)
    test(`refuses ${what}`, () => {
      assert.throws(
        () => withKafka(external),
        (error: { stderr: string }) => message.test(error.stderr),
      );
    });

  test('needs no addresses without policies', () => {
    const resources = withKafka(nowhere, { networkPolicy: { enabled: false } });
    assert.deepEqual(namesOf(resources, 'NetworkPolicy'), []);
  });
});
