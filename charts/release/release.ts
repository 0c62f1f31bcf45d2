import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parseDocument } from 'yaml';

import { Fault } from '#local/fault.ts';

import { kubernetesVersion } from '../kubernetes-version.ts';
import { annotationsOf } from './annotations.ts';
import { changesOf, withoutLocalLinks } from './changelog.ts';
import type { Change } from './changelog.ts';

const run = promisify(execFile);
/** In the order in which they are released. */
const charts = ['millrace-operator', 'millrace'];
const platforms = 'linux/amd64,linux/arm64';

export interface ReleaseOptions {
  /** the folder of the project */
  root: string;
  /** a registry with a path, such as `oci://registry.example.com/team`, or a folder */
  target: string;
  /** builds the image as well */
  image: boolean;
  /** talks to the registry without TLS */
  plainHttp: boolean;
  say(text: string): void;
}

/** What a program fails with. */
type ToolError = Error & { stderr?: string };

interface Manifest {
  version: string;
  license: string;
  repository: string;
}

/**
 * Releases both charts and the image in the version of package.json: to a registry, the charts below `charts/`, or into a folder.
 * A version in a registry is never replaced.
 * @throws Fault if the version is released already, the changelog does not have it, or a tool fails
 */
export async function release({ root, target, image, plainHttp, say }: ReleaseOptions): Promise<void> {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const { version } = manifest;
  const registry = /^oci:\/\/(.+?)\/*$/.exec(target)?.[1];
  const changes = releasedChanges(root, version, registry !== undefined);
  const http = plainHttp ? ['--plain-http'] : [];
  // the last one is there when all is: an interrupted release can go on
  const address = `oci://${registry}/charts/${charts.at(-1)!}`;
  if (registry !== undefined && (await isReleased(address, version, http)))
    throw new Fault(`${address} has the version ${version} already.`, {
      hint: 'Set the next version in package.json and run: npm run charts',
    });
  const work = mkdtempSync(join(tmpdir(), 'millrace-release-'));
  try {
    const folder = registry === undefined ? resolve(target) : work;
    mkdirSync(folder, { recursive: true });
    if (image) {
      const name = registry === undefined ? `millrace:${version}` : `${registry}/millrace:${version}`;
      say(`the image ${name} for ${platforms}`);
      const output =
        registry === undefined
          ? ['--output', `type=oci,dest=${join(folder, `millrace-${version}.oci.tar`)}`]
          : ['--push', '--provenance=true', '--sbom=true'];
      const labels = ['--build-arg', `VERSION=${version}`, '--build-arg', `REVISION=${await revisionOf(root)}`];
      const build = ['buildx', 'build', '--platform', platforms, '--tag', name, ...labels, ...output, '.'];
      await tool('docker', build, root);
    }
    for (const chart of charts) {
      say(`the chart ${chart} ${version}`);
      const described = { manifest, changes, registry };
      const archive = await packaged(join(root, 'charts', chart), join(work, chart), folder, root, described);
      if (registry !== undefined) await tool('helm', ['push', archive, `oci://${registry}/charts`, ...http], root);
    }
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** The changes of the version. @throws Fault if the changelog does not have it, or has others that would go with it unnamed */
function releasedChanges(root: string, version: string, isPublic: boolean): Change[] {
  const changelog = readFileSync(join(root, 'CHANGELOG.md'), 'utf8');
  const changes = changesOf(changelog, version);
  if (!changes) throw new Fault(`CHANGELOG.md has no section ${version}.`, { hint: 'Write what has changed.' });
  const unreleased = changesOf(changelog, 'Unreleased') ?? [];
  if (isPublic && unreleased.length > 0)
    throw new Fault(`CHANGELOG.md has ${unreleased.length} changes that are not of ${version}.`, {
      hint: 'Set the version in package.json, run npm run charts, and move the changes to a section of that version.',
    });
  return changes;
}

/** @throws Fault if nobody can tell */
async function isReleased(address: string, version: string, http: string[]): Promise<boolean> {
  const args = ['show', 'chart', address, '--version', version, ...http];
  return await run('helm', args).then(
    () => true,
    (error: ToolError) => {
      if (/not found|404|name_unknown|manifest_unknown/i.test(error.stderr ?? '')) return false;
      throw new Fault(`${address} cannot be looked at: ${error.stderr?.trim() || error.message}`);
    },
  );
}

/** The commit. */
const revisionOf = (root: string): Promise<string> =>
  run('git', ['rev-parse', 'HEAD'], { cwd: root }).then(
    ({ stdout }) => stdout.trim(),
    () => 'unknown',
  );

interface PackageOptions {
  manifest: Manifest;
  changes: Change[];
  /** where the image, which becomes the default of the chart's values, and the chart will be */
  registry: string | undefined;
}

/** Packages a copy of a chart with what only a release has. @returns the path of the archive */
async function packaged(
  source: string,
  copy: string,
  folder: string,
  root: string,
  { manifest, changes, registry }: PackageOptions,
): Promise<string> {
  const { version, license, repository } = manifest;
  cpSync(source, copy, { recursive: true });
  cpSync(join(root, 'LICENSE'), join(copy, 'LICENSE'));
  const chart = basename(source);
  // the README is for those who see no folder; the project's own Helm does not need it
  const ignored = readFileSync(join(copy, '.helmignore'), 'utf8').replace('README.md\n', '');
  writeFileSync(join(copy, '.helmignore'), ignored);
  let readme = withoutLocalLinks(readFileSync(join(copy, 'README.md'), 'utf8'));
  if (registry !== undefined) {
    edit(join(copy, 'values.yaml'), [['image', 'repository'], `${registry}/millrace`]);
    readme = readme.replaceAll(` charts/${chart} `, ` oci://${registry}/charts/${chart} --version ${version} `);
  }
  writeFileSync(join(copy, 'README.md'), readme);
  const images = await imagesOf(copy);
  const annotations = annotationsOf({ folder: source, version, license, repository, changes, images });
  edit(join(copy, 'Chart.yaml'), [['annotations'], annotations], [['home'], repository], [['sources'], [repository]]);
  await tool('helm', ['package', copy, '--destination', folder, '--version', version, '--app-version', version], root);
  return join(folder, `${chart}-${version}.tgz`);
}

/** Sets values of a YAML file and keeps its comments. */
function edit(file: string, ...settings: [path: string[], value: unknown][]): void {
  const document = parseDocument(readFileSync(file, 'utf8'));
  for (const [path, value] of settings) document.setIn(path, value);
  writeFileSync(file, document.toString({ lineWidth: 0 }));
}

/** The images that the templates of a chart use by default. */
async function imagesOf(chart: string): Promise<string[]> {
  const args = ['template', 'millrace', chart, '--kube-version', kubernetesVersion];
  const { stdout } = await run('helm', args, { maxBuffer: 64 << 20 });
  const images = [...stdout.matchAll(/^[ -]+image: "?([^\s"]+)"?$/gm)].map(([, image]) => image!);
  return [...new Set(images)].toSorted();
}

async function tool(program: string, args: string[], root: string): Promise<void> {
  await run(program, args, { cwd: root, maxBuffer: 64 << 20 }).catch((error: ToolError) => {
    throw new Fault(`${program} ${args.join(' ')} failed:\n${error.stderr?.trim() || error.message}`);
  });
}
