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

import { newService } from '../service.ts';
import { fillTemplates } from '../template.ts';
import { trackedFiles } from '../tracked.ts';
import { importsOf } from './imports.ts';
import { shop } from './shop.ts';

/** The service that takes the place of the shop: it reads what it sends, so that a copy shows an event's whole way. */
const example = { name: 'items', topic: 'item-events', consumes: ['item-events'] };

/** Files that may go when what they import is gone. */
const isOfTests = (path: string) => /\.test\.ts$|^tests\/|\/testing(\.ts$|\/)/.test(path);

/**
 * Copies the project without its shop.
 * @param root the project, of which what git tracks is copied
 * @param folder is made, or empty
 * @returns what to say of it
 * @throws Fault where the folder has something in it, or the project is no git clone
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
  forgetCommands(target);
  forgetErrors(target);
  const service = newService(target, example, { schemas: {}, events: {} })!;
  await service.write();

  const next = ['git init && git add . && git commit -m "Begin with Millrace"', 'npm start', 'npm test'];
  return `${folder} has the platform, the gateway, analytics without a query of the shop, and the service ${example.name}.
Tests that try the platform with the shop are left out. Next:

  cd ${folder}
${next.map((line) => `  ${line}`).join('\n')}

README.md there says how to go on.`;
}

function assertEmpty(target: string, folder: string): void {
  const found = statSync(target, { throwIfNoEntry: false });
  if (found && !found.isDirectory()) throw new Fault(`${folder} is a file: name a folder that is to be made.`);
  if (found && readdirSync(target).length > 0)
    throw new Fault(`${folder} is not empty: name a folder that is to be made.`);
}

/** What a copy has other contents for. */
function writtenFiles(): Map<string, string> {
  return fillTemplates(join(import.meta.dirname, 'files'), {});
}

function isOfShop(path: string): boolean {
  return shop.some((part) => path === part || path.startsWith(`${part}/`));
}

/** Drops the tests that need what is not copied. */
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

/** Takes the npm scripts away whose programs are not copied. */
function forgetCommands(target: string): void {
  const door = join(target, 'local/start.mjs');
  const gone: string[] = [];
  const programs = readFileSync(door, 'utf8').replaceAll(
    /^ {2}'?([\w:-]+)'?: '([\w/.-]+\.ts)',\n/gm,
    (line, name, file) => {
      if (existsSync(join(target, file as string))) return line;
      gone.push(name as string);
      return '';
    },
  );
  writeFileSync(door, programs);
  const manifest = join(target, 'package.json');
  const contents = JSON.parse(readFileSync(manifest, 'utf8')) as { scripts: Record<string, string> };
  contents.scripts = Object.fromEntries(
    Object.entries(contents.scripts).filter(
      ([, command]) => !gone.includes(/start\.mjs ([\w:-]+)/.exec(command)?.[1] ?? ''),
    ),
  );
  // a team may need later what nothing uses without the shop
  contents.scripts['check'] = contents.scripts['check']!.replaceAll(/knip [^&]*&& /g, '');
  writeFileSync(manifest, `${JSON.stringify(contents, null, 2)}\n`);
}

/** Takes the errors of the shop's services out of the page of errors. */
function forgetErrors(target: string): void {
  const page = join(target, 'docs/errors.md');
  const sections = readFileSync(page, 'utf8').split(/^(?=## )/m);
  const kept = sections.filter((section) => {
    const source = /^From \[([^\]]+)\]/m.exec(section)?.[1];
    return source === undefined || existsSync(join(target, source));
  });
  writeFileSync(page, `${kept.join('').trimEnd()}\n`);
}
