import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { chartOf } from './generate/chart.ts';
import { chartFolder, podTemplates, renderFolder, withoutHelm, type Resource } from './testing.ts';

/** A chart as its next release would render it: with another Chart.yaml, and nothing else changed. */
function renderNext(chart: string, values: object, change = (text: string) => chartOf(text, '99.0.0')): Resource[] {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-next-'));
  try {
    cpSync(chartFolder(chart), folder, { recursive: true });
    const about = join(folder, 'Chart.yaml');
    writeFileSync(about, change(readFileSync(about, 'utf8')));
    return renderFolder(folder, { values });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const pinned = { image: { tag: 'same' } };
const traced = { ...pinned, telemetry: { otlpEndpoint: 'http://collector:4318' } };
const charts: [string, object][] = [
  ['millrace', traced],
  ['millrace', { ...pinned, postgresql: { mode: 'cloudnative-pg' } }],
  ['millrace-operator', pinned],
];

describe('a new version of a chart', { skip: withoutHelm }, () => {
  for (const [chart, values] of charts) {
    test(`rolls no pod that nothing else rolls: ${chart} ${JSON.stringify(values)}`, () => {
      const [now, next] = [renderFolder(chartFolder(chart), { values }), renderNext(chart, values)];
      const ofWorkloads = (resources: Resource[]) =>
        [...podTemplates(resources)].filter(([name]) => !name.startsWith('Pod '));
      assert.ok(ofWorkloads(now).length > 0);
      assert.deepEqual(ofWorkloads(next), ofWorkloads(now));
      // the version is where it rolls nothing
      assert.notDeepEqual(next, now);
    });
  }

  test('has labels that Kubernetes takes, also where Flux adds the digest of its artifact to the version', () => {
    for (const chart of ['millrace', 'millrace-operator'])
      for (const version of ['0.1.0+0123456789ab', `0.1.0-${'x'.repeat(60)}`]) {
        const change = (text: string) => text.replace(/^version: .*$/m, `version: ${version}`);
        const labels = renderNext(chart, pinned, change).flatMap(({ metadata }: Resource) =>
          Object.values((metadata as { labels?: object }).labels ?? {}),
        );
        assert.ok(labels.some((label) => String(label).startsWith(`${chart}-0.1.0`)));
        for (const label of labels) assert.match(String(label), /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/);
      }
  });

  test('changes nothing of the resources whose labels other operators copy to pods with data', () => {
    for (const mode of ['bundled', 'cloudnative-pg']) {
      const values = { ...pinned, postgresql: { mode } };
      const ofOperators = (resources: Resource[]) =>
        resources.filter(({ kind }) => ['Kafka', 'KafkaNodePool', 'Cluster'].includes(kind));
      const now = ofOperators(renderFolder(chartFolder('millrace'), { values }));
      assert.equal(now.length, mode === 'bundled' ? 2 : 3);
      assert.deepEqual(ofOperators(renderNext('millrace', values)), now);
    }
  });
});
