import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { eventServices } from '#platform/declarations';

import { migrationJobOf } from '../../operators/millrace/event-service/migration.ts';
import { SmtpClient } from '../../services/notifications/smtp.ts';

import { migrationJob } from '../testing/migration-job.ts';
import { find, namesOf, notesIn, podTemplates, render, withoutHelm, type Resource } from '../testing.ts';

const declared = eventServices();

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
        namesOf(policies, 'NetworkPolicy').includes(`${metadata.name}-to-postgresql`),
        Boolean(spec.databases),
      );
    }
    assert.ok(!namesOf(policies, 'NetworkPolicy').includes('users-to-orders'));
  });

  test('allow all clients only to reach the gateway, and name no addresses for all: Cilium’s CIDR rules match no pods', () => {
    const other = render('millrace', {
      values: {
        mail: { smtpUrlSecret: 'smtp' },
        services: { gateway: { config: { AUTH_JWKS_URL: 'https://keycloak.identity/jwks' } } },
      },
    });
    const open = other.flatMap(({ kind, metadata, spec }) => {
      if (kind !== 'NetworkPolicy') return [];
      const { ingress = [], egress = [] } = spec as Record<string, { from?: object[]; to?: object[] }[]>;
      const isOpen = ingress.some(({ from }) => !from?.length) || egress.some(({ to }) => !to?.length);
      return isOpen ? [metadata.name] : [];
    });
    assert.deepEqual(open, ['gateway-to-identity-provider', 'gateway-from-clients', 'notifications-to-mail']);
    assert.doesNotMatch(JSON.stringify(other), /0\.0\.0\.0\/0|::\/0/);
    assert.deepEqual(policy('gateway-from-clients').ingress, [{ ports: [{ port: 8080, protocol: 'TCP' }] }]);
    const gatewayFrom = [{ namespaceSelector: { matchLabels: { name: 'ingress' } } }];
    const named = render('millrace', { values: { networkPolicy: { gatewayFrom } } });
    assert.deepEqual(find(named, 'NetworkPolicy', 'gateway-from-clients')['spec'].ingress[0].from, gatewayFrom);
  });

  test('let the operator in from its namespace, which the notes name', async () => {
    const notes = (networkPolicy: object) => notesIn([], { values: { networkPolicy } });
    const operatorNamespace = 'shop-operator';
    const other = render('millrace', { values: { networkPolicy: { operatorNamespace } } });
    const fromOperator = other.filter(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name.endsWith('from-operator'),
    );
    assert.equal(fromOperator.length, declared.length + 1);
    for (const { metadata, spec } of fromOperator)
      assert.deepEqual(
        spec.ingress[0].from,
        [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': operatorNamespace } } }],
        metadata.name,
      );
    assert.match(
      await notes({ operatorNamespace }),
      /the operator in from the namespace shop-operator .*operatorNamespace/,
    );
    assert.doesNotMatch(await notes({ enabled: false }), /operatorNamespace/);
  });

  test('follow the mail server, the identity provider and an external PostgreSQL', () => {
    const other = render('millrace', {
      values: {
        mail: { smtpUrl: 'smtps://mail.example.com' },
        services: { gateway: { config: { AUTH_JWKS_URL: 'https://id.example.com:8443/jwks' } } },
        postgresql: { mode: 'external', external: { existingSecret: 'server', cidrs: ['10.1.2.3/32'], ports: [6432] } },
      },
    });
    const egress = (name: string) => find(other, 'NetworkPolicy', name)['spec'].egress[0];
    assert.deepEqual(egress('notifications-to-mail').ports, [{ port: 465, protocol: 'TCP' }]);
    assert.deepEqual(egress('gateway-to-identity-provider').ports, [{ port: 8443, protocol: 'TCP' }]);
    for (const name of ['users-to-postgresql', 'migrations-to-postgresql'])
      assert.deepEqual(
        egress(name),
        { to: [{ ipBlock: { cidr: '10.1.2.3/32' } }], ports: [{ port: 6432, protocol: 'TCP' }] },
        name,
      );
    assert.deepEqual(namesOf(other, 'StatefulSet'), []);
    assert.ok(!namesOf(other, 'Deployment').includes('mail-catcher'));
  });

  test('need the addresses of an external PostgreSQL, and open no others', () => {
    const external = { mode: 'external', external: { existingSecret: 'server' } };
    assert.throws(
      () => render('millrace', { values: { postgresql: external } }),
      /postgresql\.external\.cidrs must have the addresses of its servers.*or postgresql\.external\.namespace/,
    );
    render('millrace', { values: { postgresql: external, networkPolicy: { enabled: false } } });
  });

  test('reach an external PostgreSQL in another namespace, where addresses of pods are no use', () => {
    const external = { existingSecret: 'server', namespace: 'databases' };
    const other = render('millrace', { values: { postgresql: { mode: 'external', external } } });
    const labels = { 'kubernetes.io/metadata.name': 'databases' };
    for (const name of ['users-to-postgresql', 'migrations-to-postgresql'])
      assert.deepEqual(find(other, 'NetworkPolicy', name)['spec'].egress[0].to, [
        { namespaceSelector: { matchLabels: labels } },
      ]);
  });

  test('name the port that mail is submitted at, and none for what is no URL', () => {
    const ports = (smtpUrl: string) =>
      find(render('millrace', { values: { mail: { smtpUrl } } }), 'NetworkPolicy', 'notifications-to-mail')['spec']
        .egress[0].ports[0].port;
    assert.equal(ports('smtp://mail.example.com'), new SmtpClient({ url: 'smtp://mail.example.com' }).port);
    assert.equal(ports('smtps://mail.example.com'), new SmtpClient({ url: 'smtps://mail.example.com' }).port);
    assert.equal(ports('smtp://user:pass@mail.example.com:2525/?pool=true'), 2525);
    assert.equal(ports('smtp://[fd00::1]:2525'), 2525);
    assert.throws(() => ports('mail.example.com:587'), /\/mail\/smtpUrl/);
    assert.ok(!JSON.stringify(resources).includes('"port":0'));
  });

  test('open the ports of a mail server whose URL is in a Secret, whatever another URL says', () => {
    const ports = (mail: object) =>
      find(render('millrace', { values: { mail } }), 'NetworkPolicy', 'notifications-to-mail')[
        'spec'
      ].egress[0].ports.map(({ port }: { port: number }) => port);
    assert.deepEqual(ports({ smtpUrlSecret: 'smtp' }), [25, 465, 587]);
    assert.deepEqual(ports({ smtpUrlSecret: 'smtp', smtpUrl: 'smtp://mail:26', ports: [2525] }), [2525]);
  });

  test('let traces go to a collector anywhere, and only to monitoring if it is there', () => {
    const collector = (otlpEndpoint: string) =>
      find(render('millrace', { values: { telemetry: { otlpEndpoint } } }), 'NetworkPolicy', 'all-to-collector')['spec']
        .egress[0];
    const monitoring = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'observability' } } }];
    const ports = (port: number) => [{ port, protocol: 'TCP' }];
    for (const host of ['otel-collector.observability', 'otel-collector.observability.svc.cluster.local'])
      assert.deepEqual(collector(`http://${host}:4318`), { ports: ports(4318), to: monitoring });
    for (const host of ['otel-collector', 'otlp.example.com', 'otel-collector.tracing.svc', '[fd00::1]', '10.0.0.1'])
      assert.deepEqual(collector(`https://${host}`), { ports: ports(443) });
  });

  test('let migrations reach names and databases, and nobody reach migrations', () => {
    const job = migrationJobOf(
      {
        apiVersion: 'millrace.dev/v1beta1',
        kind: 'EventService',
        metadata: { name: 'orders', uid: '1' },
        spec: declared[0]!.spec,
      },
      'abc',
    ) as Resource;
    const labels = job['spec'].template.metadata.labels as Record<string, string>;
    const ofMigrations = policies.filter(({ spec: { podSelector } }) =>
      Object.entries(podSelector.matchLabels as Record<string, string>).every(([key, value]) => labels[key] === value),
    );
    assert.deepEqual(namesOf(ofMigrations, 'NetworkPolicy').toSorted(), [
      'migrations-default-deny',
      'migrations-to-dns',
      'migrations-to-postgresql',
    ]);
    assert.deepEqual(policy('migrations-to-dns').egress, policy('all-to-dns').egress);
    const { matchLabels } = policy('postgresql-from-migrations').ingress[0].from[0].podSelector;
    assert.deepEqual(matchLabels, policy('migrations-to-postgresql').podSelector.matchLabels);
  });

  test('let everybody who needs it reach the instances of CloudNativePG, and nobody else', () => {
    const other = render('millrace', { values: { postgresql: { mode: 'cloudnative-pg' } } });
    const instances = { 'cnpg.io/cluster': 'postgresql' };
    const ofInstances = other.filter(
      ({ kind, spec }) => kind === 'NetworkPolicy' && spec.podSelector.matchLabels['cnpg.io/cluster'] === 'postgresql',
    );
    const withDatabase = declared.filter(({ spec }) => spec.databases).map(({ metadata }) => metadata.name);
    assert.deepEqual(
      namesOf(ofInstances, 'NetworkPolicy').toSorted(),
      [...withDatabase, 'cloudnative-pg', 'migrations', 'monitoring', 'operator', 'postgresql']
        .map((from) => `postgresql-from-${from}`)
        .toSorted(),
    );
    for (const { spec } of ofInstances) assert.deepEqual(spec.podSelector.matchLabels, instances);
    const from = (name: string) => find(other, 'NetworkPolicy', `postgresql-from-${name}`)['spec'].ingress[0];
    assert.deepEqual(from('postgresql').from, [{ podSelector: { matchLabels: instances } }]);
    assert.deepEqual(
      from('cloudnative-pg').ports.map(({ port }: { port: number }) => port),
      [5432, 8000],
    );
  });

  test('reach DNS servers on the ports of OpenShift and at link-local addresses, and others that are named', () => {
    const both = ['all-to-dns', 'migrations-to-dns'];
    for (const name of both) {
      const [rule] = policy(name).egress;
      assert.deepEqual(rule.to, [{ namespaceSelector: {} }, { ipBlock: { cidr: '169.254.0.0/16' } }]);
      assert.deepEqual(rule.ports, [
        { port: 53, protocol: 'UDP' },
        { port: 53, protocol: 'TCP' },
        { port: 5353, protocol: 'UDP' },
        { port: 5353, protocol: 'TCP' },
      ]);
    }
    const dns = { ports: [5300], cidrs: [] };
    const other = render('millrace', { values: { networkPolicy: { dns } } });
    for (const name of both)
      assert.deepEqual(find(other, 'NetworkPolicy', name)['spec'].egress, [
        {
          to: [{ namespaceSelector: {} }],
          ports: [
            { port: 5300, protocol: 'UDP' },
            { port: 5300, protocol: 'TCP' },
          ],
        },
      ]);
  });

  test('let a service open other connections that are named', () => {
    const rule = { to: [{ ipBlock: { cidr: '10.9.0.0/16' } }], ports: [{ port: 443 }] };
    const other = render('millrace', { values: { services: { orders: { extraEgress: [rule] } } } });
    const { spec } = find(other, 'NetworkPolicy', 'orders-to-others');
    assert.deepEqual(spec.egress, [rule]);
    assert.equal(spec.podSelector.matchLabels['app.kubernetes.io/name'], 'orders');
    // the migrations of the service may do the same, and are selected by the labels that the operator gives them
    const { spec: ofMigrations } = find(other, 'NetworkPolicy', 'orders-migrations-to-others');
    assert.deepEqual(ofMigrations.egress, [rule]);
    const { labels } = migrationJob(find(other, 'EventService', 'orders'))['spec'].template.metadata;
    assert.partialDeepStrictEqual(labels, ofMigrations.podSelector.matchLabels);
    assert.equal(ofMigrations.podSelector.matchLabels['app.kubernetes.io/component'], 'migration');
    assert.equal(namesOf(other, 'NetworkPolicy').filter((name) => name.endsWith('-to-others')).length, 2);
  });

  test('let every pod that has the values of all services open what these name, and a backup what its own do', () => {
    const rules = ['10.9.0.0/16', '10.8.0.0/16'].map((cidr) => [{ to: [{ ipBlock: { cidr } }] }]);
    const [extraEgress, ofBackup] = rules;
    const backup = { enabled: true, extraEgress: ofBackup };
    const other = render('millrace', { values: { defaults: { extraEgress }, postgresql: { bundled: { backup } } } });
    const jobs = other.filter(({ kind, spec }) => kind === 'EventService' && spec.databases).map(migrationJob);
    const others = other.filter(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name.endsWith('-to-others'),
    );
    for (const [name, { metadata }] of podTemplates([...other, ...jobs])) {
      const { labels } = metadata as unknown as { labels: Record<string, string> };
      const opened = others.filter(({ spec }) =>
        Object.entries(spec.podSelector.matchLabels as object).every(([key, value]) => labels[key] === value),
      );
      const isBackup = name === 'CronJob postgresql-backup';
      const wanted = name === 'StatefulSet postgresql' ? [] : [isBackup ? ofBackup : extraEgress];
      assert.deepEqual(
        opened.map(({ spec }) => spec.egress),
        wanted,
        name,
      );
    }
  });
});
