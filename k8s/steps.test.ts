import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';

import { downSteps, tools, upSteps } from './steps.ts';

const plain = { image: 'millrace:1', cloudNativePg: false, observability: false };

test('the tools of all commands are checked first', () => {
  const all = [...upSteps({ ...plain, cloudNativePg: true, observability: true }, false), ...downSteps];
  for (const { command } of all) assert.ok(command[0] in tools, command.join(' '));
});

test('Strimzi and the operator come before their users; an existing cluster is kept', () => {
  const said = (exists: boolean, more = {}) =>
    upSteps({ ...plain, ...more }, exists).map(({ say }) => say.split(' ')[0]);
  assert.deepEqual(said(true), ['the', 'the', 'Strimzi', 'the', 'the']);
  assert.deepEqual(said(false, { cloudNativePg: true }), ['a', 'the', 'the', 'Strimzi', 'CloudNativePG', 'the', 'the']);
  const [operator, platform] = upSteps(plain, true)
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
