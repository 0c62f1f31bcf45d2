// Plays what Prometheus has seen to the alert rules of both charts.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';

import { chartFolder } from './testing.ts';

const withoutPromtool: string | false =
  spawnSync('promtool', ['--version']).status === 0 ? false : 'promtool is not on the path';

interface Seen {
  /** the samples of each series, one a minute, in the notation of promtool */
  series: Record<string, string>;
  /** after how many minutes the alerts are looked at */
  minutes: number;
  /** the labels of each alert that fires then, besides `severity` */
  fires: Record<string, string>[];
}

/** Asserts which alerts of a name fire. */
function assertFires(chart: string, alert: string, { series, minutes, fires }: Seen): void {
  const alertsWith = (labels: Record<string, string>) =>
    `ALERTS{${Object.entries(labels)
      .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
      .join(',')}}`;
  const firing = { alertname: alert, alertstate: 'firing' };
  const played = {
    rule_files: [join(chartFolder(chart), 'monitoring/alerts.yaml')],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
        promql_expr_test: [
          {
            expr: alertsWith(firing),
            eval_time: `${minutes}m`,
            exp_samples: fires.map((one) => ({
              labels: alertsWith({ ...firing, severity: 'critical', ...one }),
              value: 1,
            })),
          },
        ],
      },
    ],
  };
  const folder = mkdtempSync(join(tmpdir(), 'millrace-alerts-'));
  try {
    const file = join(folder, 'played.yaml');
    writeFileSync(file, stringify(played));
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('MillraceOperatorHasNoLeader', { skip: withoutPromtool }, () => {
  const fires = (minutes: number, series: Record<string, string>, namespaces: (string | undefined)[]) =>
    assertFires('millrace-operator', 'MillraceOperatorHasNoLeader', {
      series,
      minutes,
      fires: namespaces.map((namespace) => (namespace === undefined ? {} : { namespace })),
    });
  const leader = (namespace: string, pod: string) => `operator_leader{namespace="${namespace}",pod="${pod}"}`;
  const up = 'up{job="millrace-operator",namespace="a",pod="1"}';
  const deployment = (namespace: string) =>
    `kube_deployment_spec_replicas{namespace="${namespace}",deployment="millrace-operator"}`;

  test('is silent while one of the pods leads', () => {
    fires(10, { [leader('a', '1')]: '0x10', [leader('a', '2')]: '1x10', [up]: '1x10', [deployment('a')]: '2x10' }, []);
  });

  test('fires when no pod leads, or none can be asked', () => {
    fires(10, { [leader('a', '1')]: '0x10', [leader('a', '2')]: '0x10', [deployment('a')]: '2x10' }, ['a']);
    fires(10, { [leader('a', '1')]: '1x3 stale', [up]: '1x3 0x7' }, ['a']);
  });

  test('fires when there is no pod any more, also beside another operator where kube-state-metrics knows the Deployment', () => {
    const gone = { [leader('a', '1')]: '1x3 stale', [up]: '1x3 stale' };
    fires(10, gone, [undefined]);
    fires(10, { ...gone, [deployment('a')]: '2x3 0x7' }, ['a']);
    fires(10, { ...gone, [deployment('a')]: '2x3 0x7', [leader('b', '1')]: '1x10', [deployment('b')]: '2x10' }, ['a']);
  });

  test('waits a minute, as long as another pod needs', () => {
    fires(4, { [leader('a', '1')]: '1x3 0x1 1x6' }, []);
  });
});

describe('MillraceBackupFailed', { skip: withoutPromtool }, () => {
  const hour = 60;
  const fires = (series: Record<string, string>, namespaces: string[]) =>
    assertFires('millrace', 'MillraceBackupFailed', {
      series,
      minutes: 2 * hour + 5,
      fires: namespaces.map((namespace) => ({ namespace })),
    });
  const cronJob = (what: string) => `kube_cronjob_status_last_${what}_time{namespace="a",cronjob="postgresql-backup"}`;
  const barman = (what: string) => `barman_cloud_cloudnative_pg_io_last_${what}_backup_timestamp{namespace="a"}`;

  test('fires where a backup that was due has not succeeded, or none ever has', () => {
    fires({ [cronJob('schedule')]: `6000x${3 * hour}`, [cronJob('successful')]: `3000x${3 * hour}` }, ['a']);
    fires({ [cronJob('schedule')]: `6000x${3 * hour}` }, ['a']);
    fires({ [barman('failed')]: `6000x${3 * hour}`, [barman('available')]: `3000x${3 * hour}` }, ['a']);
  });

  test('is silent where one has', () => {
    fires({ [cronJob('schedule')]: `6000x${3 * hour}`, [cronJob('successful')]: `6060x${3 * hour}` }, []);
    fires({ [barman('failed')]: `3000x${3 * hour}`, [barman('available')]: `6000x${3 * hour}` }, []);
  });
});
