// Makes what is generated of the charts: values.schema.json and README.md from values.yaml, Grafana's dashboards from
// dashboards/, and copies of the operator's CRDs and rights, as a chart can only read its own files. With --check nothing is
// written, and a file that is not what would be written fails.
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

import { dashboards } from './dashboards/all.ts';
import { dashboardModel } from './dashboards/panel.ts';
import { readmeOf } from './readme.ts';
import { schemaOf } from './schema.ts';
import { readValues } from './values.ts';

const charts = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(charts);
const operator = join(root, 'operators/millrace');
const copies = join(charts, 'millrace-operator/files');

/** The generated files of a chart, by path. */
function filesOf(chart: string): Map<string, string> {
  const folder = join(charts, chart);
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  const values = readValues(read('values.yaml'));
  const boards = Object.entries(dashboards[chart] ?? {});
  return new Map([
    [join(folder, 'values.schema.json'), JSON.stringify(schemaOf(chart, values))],
    [join(folder, 'README.md'), readmeOf(read('README.md'), values)],
    ...boards.map(
      ([name, board]) =>
        [join(folder, `monitoring/dashboards/${name}.json`), JSON.stringify(dashboardModel(board))] as const,
    ),
  ]);
}

/** The YAML files of a folder and of its `crds`, by path from it. */
function yamlFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const names = ['rbac.yaml', ...readdirSync(join(folder, 'crds')).map((name) => `crds/${name}`)];
  return names.filter((name) => name.endsWith('.yaml'));
}

/** Formats what is written here; a copy stays as it is. */
async function formatted(file: string, text: string): Promise<string> {
  return await format(text, { ...(await resolveConfig(file)), filepath: file });
}

const wanted = new Map<string, string>();
for (const chart of readdirSync(charts).filter((name) => existsSync(join(charts, name, 'Chart.yaml'))))
  for (const [file, text] of filesOf(chart)) wanted.set(file, await formatted(file, text));
for (const name of yamlFiles(operator)) wanted.set(join(copies, name), readFileSync(join(operator, name), 'utf8'));

const current = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : undefined);
const stale = [...wanted].filter(([file, text]) => current(file) !== text);
const extra = existsSync(operator)
  ? yamlFiles(copies)
      .map((name) => join(copies, name))
      .filter((file) => !wanted.has(file))
  : [];
const names = [...stale.map(([file]) => file), ...extra].map((file) => relative(root, file)).join(', ');
if (names === '') console.log('What is generated of the charts is up to date.');
else if (process.argv.includes('--check')) {
  console.error(`${names}: not what would be generated. Run: npm run charts`);
  process.exitCode = 1;
} else {
  for (const [file, text] of stale) writeFileSync(file, text);
  for (const file of extra) rmSync(file);
  console.log(`Wrote ${names}.`);
}
