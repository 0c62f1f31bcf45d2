// Makes what is generated of the charts: values.schema.json and README.md from values.yaml, Grafana's dashboards from
// dashboards/. With --check nothing is written, and a file that is not what would be written fails.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

import { platformDashboards } from './dashboards/all.ts';
import { dashboardModel } from './dashboards/panel.ts';
import { headOf, readmeOf } from './readme.ts';
import { schemaOf } from './schema.ts';
import { readValues } from './values.ts';

const charts = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(charts);

/** What is generated of a chart, by file. */
function generated(folder: string): Map<string, string> {
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  const values = readValues(read('values.yaml'));
  const readme = existsSync(join(folder, 'README.md')) ? read('README.md') : headOf(read('Chart.yaml'));
  return new Map([
    [join(folder, 'values.schema.json'), JSON.stringify(schemaOf(relative(charts, folder), values))],
    [join(folder, 'README.md'), readmeOf(readme, values)],
  ]);
}

/** The files of all charts. */
function everything(): Map<string, string> {
  const folders = readdirSync(charts).map((name) => join(charts, name));
  const files = folders
    .filter((folder) => existsSync(join(folder, 'Chart.yaml')))
    .flatMap((folder) => [...generated(folder)]);
  const dashboards = Object.entries(platformDashboards).map(
    ([name, dashboard]) =>
      [join(charts, `millrace/monitoring/dashboards/${name}.json`), JSON.stringify(dashboardModel(dashboard))] as const,
  );
  return new Map([...files, ...dashboards]);
}

const checking = process.argv.includes('--check');
const stale: string[] = [];
for (const [file, text] of everything()) {
  const wanted = await format(text, { ...(await resolveConfig(file)), filepath: file });
  if (existsSync(file) && readFileSync(file, 'utf8') === wanted) continue;
  stale.push(relative(root, file));
  if (!checking) writeFileSync(file, wanted);
}
if (checking && stale.length > 0) {
  console.error(`${stale.join(', ')}: not what would be generated. Run: npm run charts`);
  process.exitCode = 1;
} else
  console.log(stale.length === 0 ? 'What is generated of the charts is up to date.' : `Wrote ${stale.join(', ')}.`);
