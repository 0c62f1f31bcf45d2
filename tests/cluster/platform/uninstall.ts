import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';

import { untilPasses } from '#test/eventually.ts';
import { helm, kubectl, output, operatorNamespace, rolledOut } from './cluster.ts';
import { chart, operatorChart, release } from './installed.ts';
import type { Installed, Order } from './installed.ts';

/** The values of a release, as arguments. */
async function valuesOf(name: string, where: string): Promise<string[]> {
  const text = await output('helm', ['--namespace', where, 'get', 'values', name, '-o', 'yaml']);
  return Object.entries((parse(text) ?? {}) as object).flatMap(([key, value]) => [
    '--set-json',
    `${key}=${JSON.stringify(value)}`,
  ]);
}

/** An uninstall, which keeps the data. */
export function uninstall(platform: Installed): void {
  test('an uninstall keeps the data and the kinds, and an install of the same name uses them again', async () => {
    const order = await platform.place();
    await platform.allReadBack([order.id]);
    const [values, ofOperator] = [
      await valuesOf(release, process.env['MILLRACE_NAMESPACE']!),
      await valuesOf('millrace-operator', operatorNamespace),
    ];
    const claims = await kubectl('get', 'persistentvolumeclaims', '-o', 'name');
    await helm('uninstall', release, '--wait', '--timeout=3m');
    const operator = (...args: string[]) => output('helm', ['--namespace', operatorNamespace, ...args]);
    await operator('uninstall', 'millrace-operator', '--wait', '--timeout=1m');
    assert.equal(await kubectl('get', 'persistentvolumeclaims', '-o', 'name'), claims);
    const crds = await kubectl('get', 'crds', '-o', 'name');
    for (const kind of ['eventservices', 'streamqueries', 'projectionrebuilds', 'deadletterreplays'])
      assert.ok(crds.includes(`/${kind}.millrace.dev`), kind);
    await kubectl('get', 'secret', 'postgresql-superuser');

    await operator('install', 'millrace-operator', operatorChart, ...ofOperator);
    await helm('install', release, chart, ...values);
    await rolledOut();
    await untilPasses(async () => {
      const again = await platform.gateway.call<Order>('GET', `/api/orders/${order.id}`);
      assert.equal(again.body.totalAmount, order.totalAmount);
    }, 60_000);
  });
}
