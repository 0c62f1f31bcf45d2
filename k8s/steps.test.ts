import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';

import { buildSteps, downSteps, tools, upSteps } from './steps.ts';

const plain = { image: 'millrace:1', cloudNativePg: false, observability: false };

test('the tools of all commands are checked first', () => {
  const all = [...buildSteps(false), ...upSteps({ ...plain, cloudNativePg: true, observability: true }), ...downSteps];
  for (const { command } of all) assert.ok(command[0] in tools, command.join(' '));
});

test('Strimzi and the operator come before their users; an existing cluster is kept', () => {
  const said = (exists: boolean, more = {}) =>
    [...buildSteps(exists), ...upSteps({ ...plain, ...more })].map(({ say }) => say.split(' ')[0]);
  assert.deepEqual(said(true), ['the', 'the', 'the', 'Strimzi', 'the', 'the']);
  const first = ['a', 'the', 'the', 'the', 'Strimzi', 'CloudNativePG', 'the', 'the'];
  assert.deepEqual(said(false, { cloudNativePg: true }), first);
  const [operator, platform] = upSteps(plain)
    .slice(-2)
    .map(({ command }) => command.join(' '));
  assert.match(operator!, /charts\/millrace-operator .*image\.tag=1/);
  assert.match(platform!, /charts\/millrace .*--values=k8s\/kind-values\.yaml/);
});

test('the gateway’s node port is the one that kind maps', () => {
  const read = (name: string) => parse(readFileSync(new URL(name, import.meta.url), 'utf8')) as never;
  const { nodes } = read('kind.yaml') as { nodes: { extraPortMappings?: { containerPort: number }[] }[] };
  const { gateway } = read('kind-values.yaml') as { gateway: { service: { nodePort: number } } };
  assert.equal(nodes[0]?.extraPortMappings?.[0]?.containerPort, gateway.service.nodePort);
});

/** Runs `npm run cluster:up` with tools that only write down how they are called. @returns the calls */
async function up(imageId: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tools-'));
  try {
    for (const tool of Object.keys(tools)) {
      const script = `#!/bin/sh\necho "${tool} $*" >>${folder}/calls\ncase "$*" in "image inspect"*) echo ${imageId};; esac\n`;
      writeFileSync(join(folder, tool), script, { mode: 0o755 });
    }
    const program = fileURLToPath(new URL('main.ts', import.meta.url));
    await promisify(execFile)(process.execPath, ['--no-warnings', program, 'up'], { env: { PATH: folder } });
    return readFileSync(join(folder, 'calls'), 'utf8').split('\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('cluster:up rolls the pods where the image has changed, and only then', async () => {
  const installed = async (id: string) => {
    const calls = await up(id);
    const tags = calls.flatMap((call) => /^helm .*image\.tag=(\S+)/.exec(call)?.[1] ?? []);
    assert.equal(tags.length, 2, 'both charts');
    assert.equal(tags[0], tags[1]);
    assert.ok(calls.includes(`docker tag millrace:built millrace:${tags[0]}`), calls.join('\n'));
    assert.ok(calls.includes(`kind load docker-image millrace:${tags[0]} --name millrace`));
    return tags[0]!;
  };
  const first = await installed(`sha256:${'a1'.repeat(32)}`);
  assert.equal(await installed(`sha256:${'a1'.repeat(32)}`), first);
  assert.notEqual(await installed(`sha256:${'b2'.repeat(32)}`), first);
  // a tag as Docker takes it
  assert.match(first, /^[0-9a-z][0-9a-z.-]{0,62}$/);
});

test('cluster:up names missing tools', async () => {
  const program = fileURLToPath(new URL('main.ts', import.meta.url));
  const running = promisify(execFile)(process.execPath, ['--no-warnings', program, 'up'], {
    env: { PATH: '/nowhere' },
  });
  await assert.rejects(running, ({ stderr }: { stderr: string }) => {
    assert.match(stderr, /^docker, kind, kubectl, helm are not on the path\.\nInstall the missing tools/);
    return true;
  });
});
