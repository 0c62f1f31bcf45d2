import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { chartOf } from './generate/chart.ts';
import { chartFolder, podTemplates, renderFolder, withoutHelm, type Resource } from './testing.ts';

/** A chart as its next release would render it: with other versions, and nothing else changed. */
function renderNext(chart: string, values: object): Resource[] {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-next-'));
  try {
    cpSync(chartFolder(chart), folder, { recursive: true });
    const about = join(folder, 'Chart.yaml');
    writeFileSync(about, chartOf(readFileSync(about, 'utf8'), '99.0.0'));
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
