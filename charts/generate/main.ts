// Generates the files of the charts: values.schema.json and README.md from values.yaml, the version in Chart.yaml and k8s/gitops from package.json,
// Grafana's dashboards from dashboards/, and the CRDs from the operator's types, with their tables in docs/operator.md. With --check it writes nothing,
// and fails if a file differs.
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

import { crdsDir, generatedFiles as operatorFiles } from '../../operators/millrace/crds/generate.ts';
import { chartOf, exampleOf } from './chart.ts';
import { dashboards } from './dashboards/all.ts';
import { dashboardModel } from './dashboards/panel.ts';
import { readmeOf } from './readme.ts';
import { schemaOf } from './schema.ts';
import { readValues } from './values.ts';

const charts = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(charts);
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

/** The generated files of a chart, by path. */
function filesOf(chart: string): Map<string, string> {
  const folder = join(charts, chart);
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  const values = readValues(read('values.yaml'));
  const boards = Object.entries(dashboards[chart] ?? {});
  return new Map([
    [join(folder, 'Chart.yaml'), chartOf(read('Chart.yaml'), version)],
    [join(folder, 'values.schema.json'), JSON.stringify(schemaOf(chart, values))],
    [join(folder, 'README.md'), readmeOf(read('README.md'), values)],
    ...boards.map(
      ([name, board]) =>
        [join(folder, `monitoring/dashboards/${name}.json`), JSON.stringify(dashboardModel(board))] as const,
    ),
  ]);
}

async function formatted(file: string, text: string): Promise<string> {
  return await format(text, { ...(await resolveConfig(file)), filepath: file });
}

const wanted = await operatorFiles();
for (const chart of readdirSync(charts).filter((name) => existsSync(join(charts, name, 'Chart.yaml'))))
  for (const [file, text] of filesOf(chart)) wanted.set(file, await formatted(file, text));

for (const name of ['argocd.yaml', 'flux.yaml']) {
  const file = join(root, 'k8s/gitops', name);
  wanted.set(file, exampleOf(readFileSync(file, 'utf8'), version));
}

const current = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : undefined);
const stale = [...wanted].filter(([file, text]) => current(file) !== text);
const extra = readdirSync(crdsDir)
  .map((name) => join(crdsDir, name))
  .filter((file) => !wanted.has(file));
const names = [...stale.map(([file]) => file), ...extra].map((file) => relative(root, file)).join(', ');
if (names === '') console.log('The generated files of the charts and the operator are up to date.');
else if (process.argv.includes('--check')) {
  console.error(`${names}: not up to date. Run: npm run charts`);
  process.exitCode = 1;
} else {
  for (const [file, text] of stale) writeFileSync(file, text);
  for (const file of extra) rmSync(file);
  console.log(`Wrote ${names}.`);
}
