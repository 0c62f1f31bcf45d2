// Runs every query of every panel on a real Prometheus that scrapes the running platform while users order.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { eventServices } from '#platform/declarations';
import { Demo } from '#local/demo.ts';

import { dashboards } from '../../charts/generate/dashboards/all.ts';
import type { Dashboard } from '../../charts/generate/dashboards/panel.ts';
import { untilPasses } from '#test/eventually.ts';
import { startPlatform, type Platform } from '#test/platform.ts';
import { freePortOffset } from '#test/ports.ts';
import { startPrometheus, withoutPrometheus, type Prometheus } from '#test/prometheus.ts';
import { allowSeconds } from '#test/time-limit.ts';

allowSeconds(300); // it starts the whole platform

/** Every query of a dashboard, with the title of its panel. */
function queriesOf({ rows }: Dashboard): { panel: string; query: string }[] {
  return rows.flatMap(({ panels }) =>
    panels.flatMap(({ title, queries }) => Object.values(queries).map((query) => ({ panel: title, query }))),
  );
}

const { operator, ...ofServices } = { ...dashboards['millrace']!, ...dashboards['millrace-operator']! };

/** The query as Grafana sends it. */
function filledIn(query: string): string {
  return query.replaceAll('$__rate_interval', '20s').replaceAll(/\$(service|query)/g, '.+');
}

describe('the dashboards', { skip: withoutPrometheus }, () => {
  const data = mkdtempSync(join(tmpdir(), 'millrace-dashboards-'));
  chmodSync(data, 0o755); // PostgreSQL may run as a user of its own
  let platform: Platform | undefined;
  let prometheus: Prometheus | undefined;
  let demo: Demo | undefined;

  before(async () => {
    platform = await startPlatform({ portOffset: await freePortOffset(), data });
    const targets = eventServices().map(({ metadata: { name } }) => [name, new URL(platform!.url(name)).host] as const);
    prometheus = await startPrometheus(Object.fromEntries(targets));
    demo = new Demo(platform.url('gateway'), 20, () => undefined);
    demo.start();
  });
  after(async () => {
    demo?.stop();
    await prometheus?.stop();
    await platform?.stop();
    rmSync(data, { recursive: true, force: true });
  });

  for (const [name, dashboard] of Object.entries(ofServices)) {
    describe(name, () => {
      for (const { panel, query } of queriesOf(dashboard)) {
        test(panel, () =>
          untilPasses(async () => {
            const series = await prometheus!.query(filledIn(query));
            assert.ok(series.length > 0, `${filledIn(query)} has no series`);
            assert.ok(
              series.some(({ value }) => Number.isFinite(value)),
              `${filledIn(query)} has no number`,
            );
          }, 30_000),
        );
      }
    });
  }

  test('the operator’s queries are PromQL', async () => {
    for (const { query } of queriesOf(operator!)) await prometheus!.query(filledIn(query));
  });
});

test('the alert rules are valid', { skip: withoutPrometheus }, () => {
  for (const chart of ['millrace', 'millrace-operator']) {
    const file = fileURLToPath(new URL(`../../charts/${chart}/monitoring/alerts.yaml`, import.meta.url));
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
  }
});
