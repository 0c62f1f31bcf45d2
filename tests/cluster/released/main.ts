// Installs a released version of both charts, and upgrades it to the working tree, back and forth again, under load: docs/kubernetes.md.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { describeError, Fault } from '#local/fault.ts';
import {
  field,
  kubectl,
  namespace,
  operatorNamespace,
  output,
  rolledOut,
  withoutPlatform,
} from '../platform/cluster.ts';
import { Installed, type Load } from '../platform/installed.ts';
import { chartsOf } from './charts.ts';
import { parseUpgradeOptions, type UpgradeOptions } from './options.ts';

const own = fileURLToPath(new URL('../../../charts', import.meta.url));
const releases = { platform: 'millrace', operator: 'millrace-operator' };
const say = (line: string): void => console.log(line);

/** What one step did to those who were placing orders meanwhile. */
interface Step {
  step: string;
  seconds: number;
  placed: number;
  failed: number;
}

async function helmIn(where: string, ...args: string[]): Promise<void> {
  await output('helm', ['--namespace', where, ...args]);
}

/** Installs or upgrades a chart, and waits for its pods. */
async function put(release: string, where: string, charts: string, ...more: string[]): Promise<void> {
  const chart = `${charts}/${release}`;
  await helmIn(where, 'upgrade', '--install', release, chart, '--create-namespace', '--wait', '--timeout=6m', ...more);
  await rolledOut(where);
}

async function installReleased(charts: string, { fromTag, values }: UpgradeOptions): Promise<void> {
  const tag = ['--set', `image.tag=${fromTag}`];
  await put(releases.operator, operatorNamespace, charts, ...tag);
  await put(releases.platform, namespace!, charts, ...tag, ...(values === undefined ? [] : ['--values', values]));
}

/** The operator first: it brings the version of the API that the chart of the platform has. */
async function upgrade({ tag }: UpgradeOptions): Promise<void> {
  const how = ['--reset-then-reuse-values', '--set', `image.tag=${tag}`];
  await put(releases.operator, operatorNamespace, own, ...how);
  await put(releases.platform, namespace!, own, ...how);
}

/**
 * By an upgrade to the chart of before: `helm rollback` fails where that chart has a resource that this one has left to the operator. The
 * operator stays: it works with that chart, whose kinds lack the version that the API server has stored.
 */
async function goBack(charts: string, { fromTag }: UpgradeOptions): Promise<void> {
  await put(releases.platform, namespace!, charts, '--reset-then-reuse-values', '--set', `image.tag=${fromTag}`);
}

/** What every version has to say of the orders before. */
class Orders {
  readonly #platform: Installed;
  readonly #ids: number[] = [];
  readonly steps: Step[] = [];

  constructor(platform: Installed) {
    this.#platform = platform;
  }

  /** Does something while orders are placed, and reads back some of these and of all earlier ones. */
  async during(step: string, action: () => Promise<void>): Promise<void> {
    const began = performance.now();
    const load: Load = await this.#platform.underLoad(action);
    const seconds = Math.round((performance.now() - began) / 1_000);
    for (const failure of load.failures) say(`  ${failure}`);
    this.#ids.push(...load.some);
    await this.#platform.allReadBack(this.#ids);
    const { placed, failed } = load;
    this.steps.push({ step, seconds, placed, failed });
    say(`${step}: ${placed} orders, ${failed} failures, ${seconds} s; all orders asked for are read back`);
  }
}

async function everyServiceReady(image: string): Promise<void> {
  await kubectl('wait', '--for=condition=Ready', 'eventservices', '--all', '--timeout=120s');
  assert.match(await field('deployment/orders', '.spec.template.spec.containers[0].image'), new RegExp(`:${image}$`));
}

async function main(args: string[]): Promise<boolean> {
  if (withoutPlatform !== false) throw new Fault(`There is no cluster to install in: ${withoutPlatform}.`);
  const options = parseUpgradeOptions(args);
  const released = await chartsOf(options.from);
  const platform = new Installed();
  const orders = new Orders(platform);
  try {
    await installReleased(released.folder, options);
    await platform.open();
    await orders.during(`${options.from} installed`, () => everyServiceReady(options.fromTag));
    await orders.during('upgraded', () => upgrade(options));
    await everyServiceReady(options.tag);
    await orders.during('taken back', () => goBack(released.folder, options));
    await everyServiceReady(options.fromTag);
    await orders.during('upgraded again', () => upgrade(options));
    await everyServiceReady(options.tag);
  } finally {
    await platform.close();
    released.remove();
  }
  say(JSON.stringify({ steps: orders.steps }));
  return orders.steps.every(({ failed }) => failed === 0);
}

try {
  process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
