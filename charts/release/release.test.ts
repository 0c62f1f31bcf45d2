import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';

import { kubernetesVersion } from '../kubernetes-version.ts';
import { renderText, withoutHelm } from '../testing.ts';
import { changesOf } from './changelog.ts';
import { release } from './release.ts';
import { startRegistry } from './testing.ts';
import type { Registry } from './testing.ts';

const project = join(import.meta.dirname, '../..');
const charts = ['millrace', 'millrace-operator'];
const changelog = `# Changelog

## Unreleased

## 1.2.3 - 2026-01-31

### Added

- One thing, of [some](docs/some.md)
  length.
- Another.

### Security

- A hole is closed.

## 1.2.2

### Fixed

- Old.
`;

test('the changes of a version are its points, each on one line', () => {
  assert.deepEqual(changesOf(changelog, '1.2.3'), [
    { kind: 'added', description: 'One thing, of some length.' },
    { kind: 'added', description: 'Another.' },
    { kind: 'security', description: 'A hole is closed.' },
  ]);
  assert.deepEqual(changesOf(changelog, 'Unreleased'), []);
  assert.equal(changesOf(changelog, '1.2'), undefined);
});

describe('npm run release', { skip: withoutHelm }, () => {
  let root: string;
  let registry: Registry;
  const path = process.env['PATH'];

  // a project with these charts, in a version that they do not have
  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'millrace-project-'));
    for (const name of ['package.json', 'LICENSE', 'charts/millrace', 'charts/millrace-operator'])
      cpSync(join(project, name), join(root, name), { recursive: true });
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as object;
    writeFileSync(join(root, 'package.json'), JSON.stringify({ ...manifest, version: '1.2.3' }));
    for (const chart of charts) {
      const file = join(root, 'charts', chart, 'Chart.yaml');
      writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/ersion: 0.*$/gm, 'ersion: 1.2.3'));
    }
    writeFileSync(join(root, 'CHANGELOG.md'), changelog);
    // in place of Docker, a program that writes down how it is called
    mkdirSync(join(root, 'bin'));
    writeFileSync(join(root, 'bin/docker'), `#!/bin/sh\necho "$*" >>${root}/docker.log\n`, { mode: 0o755 });
    process.env['PATH'] = `${join(root, 'bin')}${delimiter}${path}`;
    registry = await startRegistry();
  });
  after(async () => {
    process.env['PATH'] = path;
    await registry.close();
    rmSync(root, { recursive: true });
  });

  const options = (target: string, more = {}) => ({
    root,
    target,
    image: false,
    plainHttp: true,
    say: () => {},
    ...more,
  });
  const helm = async (...args: string[]) => (await promisify(execFile)('helm', args, { maxBuffer: 64 << 20 })).stdout;
  const dockerCalls = () => readFileSync(join(root, 'docker.log'), 'utf8').trim().split('\n');
  const folderOf = (chart: string) => join(root, 'charts', chart);
  const template = (chart: string, ...args: string[]) =>
    helm('template', 'demo', chart, '--namespace', 'shop', '--kube-version', kubernetesVersion, ...args);

  test('packages both charts, which render as their folders do', async () => {
    const target = join(root, 'dist');
    await release(options(target, { image: true }));
    assert.deepEqual(readdirSync(target).toSorted(), ['millrace-1.2.3.tgz', 'millrace-operator-1.2.3.tgz']);
    for (const chart of charts) {
      const archive = join(target, `${chart}-1.2.3.tgz`);
      const expected = renderText(folderOf(chart));
      assert.ok(expected.length > 1_000 && expected.includes(`${chart}-1.2.3`));
      assert.ok((await template(archive)) === expected, `${chart} renders otherwise`);
      const more = [
        '--set',
        'image.repository=other,image.pullPolicy=Always',
        '--api-versions',
        'monitoring.coreos.com/v1',
      ];
      assert.ok((await template(archive, ...more)) === (await template(folderOf(chart), ...more)));
    }
    const [call] = dockerCalls().slice(-1);
    assert.match(
      call!,
      /^buildx build --platform linux\/amd64,linux\/arm64 --tag millrace:1\.2\.3 --build-arg VERSION=1\.2\.3 /,
    );
    assert.match(call!, /type=oci,dest=\S+\/dist\/millrace-1\.2\.3\.oci\.tar \.$/);
  });

  test('describes the charts to Artifact Hub', async () => {
    const target = join(root, 'described');
    await release(options(target));
    const described = async (chart: string) => {
      const shown = parse(await helm('show', 'chart', join(target, `${chart}-1.2.3.tgz`))) as {
        annotations: Record<string, string>;
        home: string;
      };
      assert.match(shown.home, /^https:/);
      const readme = await helm('show', 'readme', join(target, `${chart}-1.2.3.tgz`));
      assert.match(readme, /^# millrace/);
      assert.doesNotMatch(readme, /\]\((?!https:)/);
      return (name: string) => parse(shown.annotations[`artifacthub.io/${name}`] ?? 'null') as unknown;
    };
    const [platform, operator] = [await described('millrace'), await described('millrace-operator')];
    assert.deepEqual(platform('changes'), changesOf(changelog, '1.2.3'));
    assert.equal(platform('license'), 'MIT');
    assert.equal(platform('containsSecurityUpdates'), true);
    assert.equal(platform('prerelease'), false);
    assert.deepEqual(platform('images'), [
      { name: 'millrace', image: 'millrace:1.2.3' },
      { name: 'postgres', image: 'postgres:18' },
    ]);
    assert.deepEqual([platform('operator'), operator('operator')], [false, true]);
    const kinds = operator('crds') as { kind: string; version: string; name: string; description: string }[];
    assert.deepEqual(
      kinds.map(({ name }) => name),
      ['deadletterreplays', 'eventservices', 'projectionrebuilds', 'streamqueries'].map(
        (name) => `${name}.millrace.dev`,
      ),
    );
    assert.ok(kinds.every(({ version, description }) => version === 'v1beta1' && description.includes(' ')));
  });

  test('pushes to a registry, where the charts have the image of the registry; a version only once', async () => {
    const target = `oci://${registry.address}/team/`;
    await release(options(target, { image: true }));
    assert.deepEqual(registry.tags().toSorted(), ['team/charts/millrace-operator:1.2.3', 'team/charts/millrace:1.2.3']);
    const pull = ['--version', '1.2.3', '--plain-http'];
    for (const chart of charts) {
      const pulled = await template(`oci://${registry.address}/team/charts/${chart}`, ...pull);
      const expected = renderText(folderOf(chart), {
        values: { image: { repository: `${registry.address}/team/millrace` } },
      });
      assert.ok(pulled === expected, `${chart} renders otherwise`);
    }
    const readme = await helm('show', 'readme', `oci://${registry.address}/team/charts/millrace`, ...pull);
    const command = `helm install millrace oci://${registry.address}/team/charts/millrace --version 1.2.3 `;
    assert.ok(readme.includes(command), readme.slice(0, 1_000));
    const calls = dockerCalls();
    assert.match(calls.at(-1)!, new RegExp(`--tag ${registry.address}/team/millrace:1.2.3 .*--push`));
    await assert.rejects(
      release(options(target, { image: true })),
      /team\/charts\/millrace has the version 1\.2\.3 already/,
    );
    assert.deepEqual(dockerCalls(), calls);
  });

  test('releases nothing that the changelog does not have', async () => {
    const write = (text: string) => writeFileSync(join(root, 'CHANGELOG.md'), text);
    const target = `oci://${registry.address}/other`;
    try {
      write(changelog.replace('## 1.2.3', '## 1.3.0'));
      await assert.rejects(release(options(target)), /has no section 1\.2\.3/);
      write(changelog.replace('## Unreleased\n', '## Unreleased\n\n### Added\n\n- More.\n'));
      await assert.rejects(release(options(target)), /1 changes that are not of 1\.2\.3/);
      assert.ok(registry.tags().every((tag) => !tag.startsWith('other/')));
    } finally {
      write(changelog);
    }
  });

  test('says what a registry that does not answer says', async () => {
    await assert.rejects(
      release(options('oci://127.0.0.1:1/team')),
      /127\.0\.0\.1:1\/team\/charts\/millrace cannot be looked at: .*refused/s,
    );
  });
});
