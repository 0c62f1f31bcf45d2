import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Order, OrderStatus } from '#contracts/orders.ts';
import { orderStatuses } from '#contracts/orders.ts';
import { mayStep } from './domain/lifecycle.ts';
import { lamp, startOrders } from './testing.ts';
import type { TestOrders } from './testing.ts';

/** The expected state of an order, without a database. */
interface Model {
  status: OrderStatus;
  version: number;
  deleted: boolean;
}

type Models = Map<number, Model>;

class Create implements fc.AsyncCommand<Models, TestOrders> {
  check = () => true;
  async run(model: Models, orders: TestOrders) {
    const { id } = await orders.place();
    model.set(id, { status: 'PENDING', version: 1, deleted: false });
  }
  toString = () => 'create';
}

abstract class OnOne implements fc.AsyncCommand<Models, TestOrders> {
  readonly which: number;
  constructor(which: number) {
    this.which = which;
  }
  check = (model: Readonly<Models>) => model.size > 0;
  run(model: Models, orders: TestOrders) {
    const ids = [...model.keys()];
    const id = ids[this.which % ids.length]!;
    return this.act(id, model.get(id)!, orders);
  }
  abstract act(id: number, order: Model, orders: TestOrders): Promise<void>;
}

class SetStatus extends OnOne {
  readonly to: OrderStatus;
  readonly ifMatch: number | undefined;
  constructor(which: number, to: OrderStatus, ifMatch: number | undefined) {
    super(which);
    this.to = to;
    this.ifMatch = ifMatch;
  }
  override async act(id: number, order: Model, orders: TestOrders) {
    const headers: Record<string, string> = this.ifMatch === undefined ? {} : { 'if-match': `"${this.ifMatch}"` };
    const { status } = await orders.send('PUT', `/orders/${id}/status`, { status: this.to }, headers);
    if (order.deleted) assert.equal(status, 404);
    else if (this.ifMatch !== undefined && this.ifMatch !== order.version) assert.equal(status, 412);
    else if (!mayStep(order.status, this.to)) assert.equal(status, 409);
    else {
      assert.equal(status, 200);
      order.status = this.to;
      order.version += 1;
    }
  }
  override toString = () => `${this.which} → ${this.to} if ${this.ifMatch ?? 'any'}`;
}

class Delete extends OnOne {
  override async act(id: number, order: Model, orders: TestOrders) {
    const { status } = await orders.send('DELETE', `/orders/${id}`);
    assert.equal(status, order.deleted ? 404 : 204);
    if (!order.deleted) order.version += 1;
    order.deleted = true;
  }
  override toString = () => `delete ${this.which}`;
}

/** Projects the new events, so that batches of all sizes are applied. */
class Project implements fc.AsyncCommand<Models, TestOrders> {
  check = () => true;
  run = (_: Models, orders: TestOrders) => orders.project();
  toString = () => 'project';
}

test('after any sequence of commands, the read model and its counts match the model of the test', async (t) => {
  const orders = await startOrders(t);
  const which = fc.nat(5);
  const commands = fc.commands<Models, TestOrders, false>(
    [
      fc.constant(new Create()),
      fc
        .tuple(which, fc.constantFrom(...orderStatuses), fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }))
        .map((arguments_) => new SetStatus(...arguments_)),
      which.map((one) => new Delete(one)),
      fc.constant(new Project()),
    ],
    { maxCommands: 40 },
  );
  const all: Models = new Map();
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      const model: Models = new Map();
      await fc.asyncModelRun(() => ({ model, real: orders }), sequence);
      for (const [id, order] of model) all.set(id, order);
      await orders.project();
      await checkReadModel(orders, all);
    }),
    { numRuns: 25 },
  );
});

async function checkReadModel(orders: TestOrders, model: Models): Promise<void> {
  const counts = { PENDING: 0, CONFIRMED: 0, SHIPPED: 0, DELIVERED: 0, CANCELLED: 0 };
  for (const [id, expected] of model) {
    const { body } = await orders.send('GET', `/orders/${id}`);
    const { status, version, isDeleted, items } = body as Order;
    assert.deepEqual({ status, version, deleted: isDeleted }, expected);
    assert.deepEqual(items, [lamp]);
    if (!expected.deleted) counts[expected.status] += 1;
  }
  const { body } = await orders.send('GET', '/orders/statistics');
  for (const status of orderStatuses) assert.equal(body[`${status.toLowerCase()}Count`], counts[status], status);
}
