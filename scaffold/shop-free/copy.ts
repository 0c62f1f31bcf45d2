import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { Fault } from '#local/fault.ts';

import { shopRows } from '../../charts/generate/dashboards/shop.ts';

import { Changes } from '../changes.ts';
import { newService } from '../service.ts';
import { fillTemplates } from '../template.ts';
import { trackedFiles } from '../tracked.ts';
import { withoutMissing, withoutShop } from './documents.ts';
import { importsOf } from './imports.ts';
import { shop } from './shop.ts';

/** The service in place of the shop: it consumes its own events, so that a copy shows the whole path of an event. */
const example = { name: 'items', topic: 'item-events', consumes: ['item-events'] };

/** Files that the copy omits if it lacks one of their imports. */
const isOfTests = (path: string) => /\.test\.ts$|^tests\/|\/testing(\.ts$|\/)/.test(path);

/**
 * Copies the project without its shop.
 * @param root the project; the copy has the files that git tracks
 * @param folder the new or empty folder
 * @returns the message for the user
 * @throws Fault if the folder is not empty, or the project is not a git clone
 */
export async function copyWithoutShop(root: string, folder: string): Promise<string> {
  const target = resolve(root, folder);
  assertEmpty(target, folder);
  const written = writtenFiles();
  const tracked = trackedFiles(root);
  const kept = new Map([...tracked].filter((path) => !isOfShop(path)).map((path) => [path, join(root, path)]));
  for (const path of written.keys()) kept.delete(path);
  dropTests(kept, new Set(written.keys()));

  for (const [path, source] of kept) copy(source, join(target, path));
  for (const [path, text] of written) write(join(target, path), text);
  dropCommands(target);
  dropErrors(target);
  const service = newService(target, example, { schemas: {}, events: {} })!;
  await service.write();
  await dropMissing(target, [...kept.keys()]);

  const next = ['git init && git add . && git commit -m "Begin with Millrace"', 'npm start', 'npm test'];
  return `${folder} has the platform, the gateway, analytics without a query of the shop, and the service ${example.name}.
Tests of the platform with the shop are left out. Next:

  cd ${folder}
${next.map((line) => `  ${line}`).join('\n')}

Its README.md explains how to continue.`;
}

function assertEmpty(target: string, folder: string): void {
  const found = statSync(target, { throwIfNoEntry: false });
  if (found && !found.isDirectory()) throw new Fault(`${folder} is a file: name a new folder.`);
  if (found && readdirSync(target).length > 0) throw new Fault(`${folder} is not empty: name a new folder.`);
}

/** The files with other contents in a copy. */
function writtenFiles(): Map<string, string> {
  return fillTemplates(join(import.meta.dirname, 'files'), {});
}

function isOfShop(path: string): boolean {
  return shop.some((part) => path === part || path.startsWith(`${part}/`));
}

/** Drops the tests that need a missing file. */
function dropTests(kept: Map<string, string>, written: ReadonlySet<string>): void {
  const databases = shop.flatMap((part) => /^prisma\/(.+)/.exec(part)?.[1] ?? []);
  const usesDatabase = new RegExp(`createTestDatabase\\('(${databases.join('|')})'\\)`);
  for (let found = true; found;) {
    found = false;
    for (const [path, source] of kept) {
      if (!/\.[jt]s$/.test(path) || path.startsWith('scaffold/templates/')) continue;
      const text = readFileSync(source, 'utf8');
      const missing = importsOf(path, text).find((imported) => !kept.has(imported) && !written.has(imported));
      if (missing === undefined && !(path.endsWith('.test.ts') && usesDatabase.test(text))) continue;
      if (!isOfTests(path)) throw new Error(`${path} needs ${missing}, which is the shop's`);
      kept.delete(path);
      found = true;
    }
  }
}

function copy(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(source, target);
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  if (text.startsWith('#!')) chmodSync(file, 0o755);
}

/** Removes the npm scripts without a program. */
function dropCommands(target: string): void {
  const starter = join(target, 'local/start.mjs');
  const gone: string[] = [];
  const programs = readFileSync(starter, 'utf8').replaceAll(
    /^ {2}'?([\w:-]+)'?: '([\w/.-]+\.ts)',\n/gm,
    (line, name, file) => {
      if (existsSync(join(target, file as string))) return line;
      gone.push(name as string);
      return '';
    },
  );
  writeFileSync(starter, programs);
  const manifest = join(target, 'package.json');
  const contents = JSON.parse(readFileSync(manifest, 'utf8')) as { scripts: Record<string, string> };
  contents.scripts = Object.fromEntries(
    Object.entries(contents.scripts).filter(
      ([, command]) => !gone.includes(/start\.mjs ([\w:-]+)/.exec(command)?.[1] ?? ''),
    ),
  );
  // a team may need later the code that only the shop uses
  contents.scripts['check'] = contents.scripts['check']!.replaceAll(/knip [^&]*&& /g, '');
  writeFileSync(manifest, `${JSON.stringify(contents, null, 2)}\n`);
}

/** Removes the errors of the shop's services from the page of errors. */
function dropErrors(target: string): void {
  const page = join(target, 'docs/errors.md');
  const sections = readFileSync(page, 'utf8').split(/^(?=## )/m);
  const kept = sections.filter((section) => {
    const source = /^From \[([^\]]+)\]/m.exec(section)?.[1];
    return source === undefined || existsSync(join(target, source));
  });
  writeFileSync(page, `${kept.join('').trimEnd()}\n`);
}

/** Removes the shop, and links to missing files, from the pages. */
async function dropMissing(target: string, paths: readonly string[]): Promise<void> {
  const { scripts } = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const changes = new Changes(target);
  for (const path of paths.filter((name) => name.endsWith('.md') && !name.startsWith('scaffold/templates/')))
    changes.edit(path, (text) => withoutMissing(join(target, path), text, scripts));
  changes.edit('dashboard/index.html', withoutShop);
  changes.edit('charts/millrace/monitoring/dashboards/event-flow.json', withoutShopRows);
  await changes.write();
}

/** The model of the event flow in Grafana without the rows of the shop, which are its last ones. */
function withoutShopRows(text: string): string {
  const model = JSON.parse(text) as { panels: { type: string; title: string }[] };
  const first = model.panels.findIndex(({ type, title }) => type === 'row' && title === shopRows[0]?.title);
  return first < 0 ? text : JSON.stringify({ ...model, panels: model.panels.slice(0, first) });
}
