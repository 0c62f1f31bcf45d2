import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { eventServices } from '#platform/declarations';

import { clientOf, newOrder, newUser } from '../../platform/client.ts';
import { untilPasses } from '#test/eventually.ts';
import type { Client } from '../../platform/client.ts';
import { apply, field, forward, kubectl, rolledOut, scriptPod } from './cluster.ts';
import type { Forward } from './cluster.ts';

export const chart = fileURLToPath(new URL('../../../charts/millrace', import.meta.url));
export const operatorChart = fileURLToPath(new URL('../../../charts/millrace-operator', import.meta.url));
export const release = 'millrace';
export const services = eventServices().map(({ metadata }) => metadata.name);
/** The pods of a workload, without those of its migrations, which have only the name label. */
export const podsOf = (name: string) => `app.kubernetes.io/name=${name},app.kubernetes.io/instance=${release}`;

export const script = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');

export interface Order {
  id: number;
  version: number;
  totalAmount: number;
}

/** The result of a load: the number of orders, the ids of the first, the middle and the last, and the first failure. */
export interface Load {
  placed: number;
  some: number[];
  failed: number;
  failures: string[];
}

/** The installed platform, called through a separate pod that stays when others are lost. */
export class Installed {
  image = '';
  gateway!: Client;
  #forward: Forward | undefined;

  async open(): Promise<void> {
    await rolledOut();
    this.image = await field('deployment/gateway', '.spec.template.spec.containers[0].image');
    await this.run('client', 'client.mjs');
    this.#forward = await forward('pod/client', 8000);
    this.gateway = clientOf(this.#forward.url);
  }

  async close(): Promise<void> {
    await this.#forward?.close();
    await kubectl('delete', 'pod,configmap', 'client', 'load', '--ignore-not-found', '--wait=false');
  }

  /** Runs a script of this folder in a new pod. */
  async run(name: string, file: string): Promise<void> {
    await kubectl('delete', 'pod,configmap', name, '--ignore-not-found');
    for (const object of scriptPod(name, this.image, script(file))) await apply(object);
    await kubectl('wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s');
  }

  /** Places orders during an action. @returns their result */
  async underLoad(happening: () => Promise<void>): Promise<Load> {
    await this.run('load', 'load.mjs');
    await untilPasses(async () => assert.match(await kubectl('logs', 'load'), /user \d+/), 60_000);
    await happening();
    await kubectl('exec', 'load', '--', 'sh', '-c', 'kill -TERM 1');
    await kubectl('wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/load', '--timeout=60s');
    const lines = (await kubectl('logs', 'load')).trim().split('\n');
    return JSON.parse(lines.at(-1)!) as Load;
  }

  /** Registers a user and places an order. */
  async place(): Promise<Order> {
    const user = await this.gateway.call<{ id: number }>('POST', '/api/users', newUser('cluster'));
    assert.equal(user.status, 201, JSON.stringify(user.body));
    const order = await this.gateway.call<Order>('POST', '/api/orders', newOrder(user.body.id));
    assert.equal(order.status, 201, JSON.stringify(order.body));
    return order.body;
  }

  /** Asserts that the read model has the orders. */
  async allReadBack(ids: readonly number[]): Promise<void> {
    for (const id of ids.toReversed())
      await untilPasses(async () => {
        assert.equal((await this.gateway.call('GET', `/api/orders/${id}`)).status, 200, `order ${id}`);
      }, 120_000);
  }
}
