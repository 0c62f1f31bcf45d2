import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { find, namesOf, podTemplates, refusalOf, render, withoutHelm, type Resource } from '../testing.ts';

const prometheus = ['monitoring.coreos.com/v1'];
const refusal = (values: object): string => refusalOf('millrace', values);

describe('the backup of the bundled PostgreSQL', { skip: withoutHelm }, () => {
  const backup = { enabled: true, schedule: '0 4 * * *', keep: 3, suspend: true };
  const resources = withoutHelm ? [] : render('millrace', { values: { postgresql: { bundled: { backup } } } });

  test('is not there by default', () => {
    assert.deepEqual(namesOf(render('millrace'), 'CronJob'), []);
  });

  test('is a CronJob that keeps to its values, and whose failures stay to be seen', () => {
    const { spec } = find(resources, 'CronJob', 'postgresql-backup');
    assert.deepEqual(
      [spec.schedule, spec.timeZone, spec.suspend, spec.concurrencyPolicy, spec.failedJobsHistoryLimit],
      ['0 4 * * *', 'Etc/UTC', true, 'Forbid', 3],
    );
    const [container] = spec.jobTemplate.spec.template.spec.containers;
    assert.deepEqual(container.env[0], { name: 'KEEP', value: '3' });
    for (const { name, valueFrom } of container.env.slice(1))
      assert.equal(valueFrom.secretKeyRef.name, 'postgresql-superuser', name);
    assert.match(find(resources, 'ConfigMap', 'postgresql-backup')['data']['backup.sh'], /pg_dump --format=custom/);
  });

  test('ends where a proxy of a mesh would keep it, and its pods can be kept out of the mesh', () => {
    const apart = {
      podLabels: { 'sidecar.istio.io/inject': 'false' },
      podAnnotations: { 'linkerd.io/inject': 'disabled' },
    };
    const bundled = { ...apart, backup: { enabled: true, deadlineSeconds: 1_200, ...apart } };
    const other = render('millrace', { values: { postgresql: { bundled } } });
    for (const name of ['CronJob postgresql-backup', 'StatefulSet postgresql'])
      assert.partialDeepStrictEqual(
        podTemplates(other).get(name)!.metadata,
        { labels: apart.podLabels, annotations: apart.podAnnotations },
        name,
      );
    const deadlineOf = (all: Resource[]) =>
      find(all, 'CronJob', 'postgresql-backup')['spec'].jobTemplate.spec.activeDeadlineSeconds;
    assert.deepEqual([deadlineOf(resources), deadlineOf(other)], [21_600, 1_200]);
    const selecting = { podLabels: { 'app.kubernetes.io/name': 'mine' } };
    assert.match(refusal({ postgresql: { bundled: selecting } }), /invalid propertyName/);
  });

  test('keeps its disk when the release goes', () => {
    const { metadata } = find(resources, 'PersistentVolumeClaim', 'postgresql-backups');
    assert.deepEqual((metadata as { annotations?: object }).annotations, { 'helm.sh/resource-policy': 'keep' });
  });

  test('has the rights of the other pods: restricted, without a token, and to PostgreSQL alone', () => {
    const { spec } = podTemplates(resources).get('CronJob postgresql-backup')!;
    assert.equal(spec.automountServiceAccountToken, false);
    assert.equal(spec.securityContext.runAsNonRoot, true);
    assert.equal(spec.containers[0].securityContext.readOnlyRootFilesystem, true);
    const policies = namesOf(resources, 'NetworkPolicy').filter((name) => name.includes('backup'));
    assert.deepEqual(policies.toSorted(), ['postgresql-backup-to-postgresql', 'postgresql-from-postgresql-backup']);
  });
});

describe('the backup of CloudNativePG', { skip: withoutHelm }, () => {
  const objectStore = { destinationPath: 's3://backups/shop' };
  const cnpg = (values: object) => ({ postgresql: { mode: 'cloudnative-pg', cloudnativePg: values } });

  test('archives the log, and makes base backups', () => {
    const resources = render('millrace', { values: cnpg({ backup: { objectStore } }), apis: prometheus });
    const name = 'barman-cloud.cloudnative-pg.io';
    const parameters = { barmanObjectName: 'postgresql', serverName: 'postgresql' };
    assert.deepEqual(find(resources, 'Cluster', 'postgresql')['spec'].plugins, [
      { name, isWALArchiver: true, parameters },
    ]);
    assert.deepEqual(find(resources, 'ObjectStore', 'postgresql')['spec'], {
      configuration: objectStore,
      retentionPolicy: '14d',
    });
    const { spec } = find(resources, 'ScheduledBackup', 'postgresql');
    assert.deepEqual(
      [spec.method, spec.pluginConfiguration, spec.cluster],
      ['plugin', { name }, { name: 'postgresql' }],
    );
    assert.deepEqual(namesOf(resources, 'PodMonitor'), ['postgresql']);
  });

  test('is recovered to a time, and then archived elsewhere', () => {
    const recovery = { serverName: 'postgresql', targetTime: '2026-11-29T12:00:00Z' };
    const values = cnpg({ backup: { objectStore, serverName: 'postgresql-2' }, recovery });
    const { spec } = find(render('millrace', { values }), 'Cluster', 'postgresql');
    assert.deepEqual(spec.bootstrap.recovery, {
      source: 'backup',
      recoveryTarget: { targetTime: recovery.targetTime },
    });
    assert.equal(spec.externalClusters[0].plugin.parameters.serverName, 'postgresql');
    assert.equal(spec.plugins[0].parameters.serverName, 'postgresql-2');
    assert.match(refusal(cnpg({ backup: { objectStore }, recovery })), /write-ahead log would be written over/);
    assert.match(refusal(cnpg({ recovery })), /needs postgresql.cloudnativePg.backup.objectStore/);
    assert.match(refusal(cnpg({ recovery: { ...recovery, serverName: '' } })), /needs .*recovery.serverName/);
  });
});
