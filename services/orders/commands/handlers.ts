import type { Pool } from 'pg';
import { isExactId } from '#platform/contract';
import type { Order, OrderInput, orders } from '#contracts/orders.ts';
import type { Handlers, Reply } from '#platform/http';
import {
  conflict,
  entityTag,
  notFound,
  parseIfMatch,
  preconditionFailed,
  subjectOf,
  unprocessable,
} from '#platform/http';
import { inject } from '#platform/telemetry';
import { refusal } from '../domain/lifecycle.ts';
import { fingerprint, newOrder, orderOf, placedOrder } from '../domain/order.ts';
import type { KnownUser } from '../domain/order.ts';
import { changeStatus, deleteOrder } from './change.ts';
import { findByKey, keyOf } from './idempotency.ts';
import type { OrderPlacer } from './place.ts';

/** Looks users up for commands. */
export interface Users {
  /** undefined if there is no such user. @throws Problem if the lookup fails */
  find(id: number): Promise<KnownUser | undefined>;
}

export interface CommandOptions {
  writePool: Pool;
  placer: OrderPlacer;
  users: Users;
  /** called after each command that has committed an event */
  wakeRelay: () => void;
}

type Commands = Pick<Handlers<typeof orders.operations>, 'createOrder' | 'setOrderStatus' | 'deleteOrder'>;

/** The commands on orders, on the write database alone. */
export function commandHandlers({ writePool, placer, users, wakeRelay }: CommandOptions): Commands {
  /** The names for a response, if the lookup succeeds: a committed command does not fail because of them. */
  const namesOf = (userId: number) => users.find(userId).catch(() => undefined);

  async function knownUser(userId: number): Promise<KnownUser> {
    const user = isExactId(userId) ? await users.find(userId) : undefined;
    if (user) return user;
    throw unprocessable('There is no such user', [{ field: 'userId', message: 'is not the id of a user' }]);
  }

  async function createWithKey(input: OrderInput, key: string): Promise<Reply> {
    const order = newOrder(input);
    const mark = fingerprint(order);
    const earlier = async (): Promise<Reply | undefined> => {
      const found = await findByKey(writePool, key);
      if (!found) return undefined;
      if (found.fingerprint !== mark) {
        throw unprocessable('This Idempotency-Key was sent with another body before', [
          { field: 'Idempotency-Key', message: 'was used for another order' },
        ]);
      }
      return created(placedOrder(found.id, found.order, await namesOf(order.userId), found.createdAt));
    };
    let user: KnownUser;
    try {
      user = await knownUser(order.userId);
    } catch (error) {
      // repeats the first response, even if the user is deleted or cannot be looked up
      const reply = await earlier();
      if (reply) return reply;
      throw error;
    }
    const placed = await placer.place(order, { key, fingerprint: mark }, inject());
    if (placed) wakeRelay();
    const reply = placed ? created(placedOrder(placed.id, order, user, placed.createdAt)) : await earlier();
    return reply ?? createWithKey(input, key); // the key has expired in between, after a day
  }

  return {
    async createOrder({ body, header }) {
      const key = header('idempotency-key');
      if (key !== undefined) return createWithKey(body, keyOf(subjectOf(header), key));
      const order = newOrder(body);
      const user = await knownUser(order.userId);
      const placed = await placer.place(order, undefined, inject());
      wakeRelay();
      return created(placedOrder(placed!.id, order, user, placed!.createdAt));
    },

    async setOrderStatus({ params: { id }, body: { status }, header }) {
      const versions = parseIfMatch(header('if-match'));
      const outcome = await changeStatus(writePool, { id, status, versions, traceparent: inject() });
      switch (outcome.kind) {
        case 'not-found':
          throw notFound(`There is no order ${id}`);
        case 'version-mismatch':
          throw changed(outcome.version);
        case 'no-such-step':
          throw conflict(refusal(outcome.from, status));
        case 'changed': {
          wakeRelay();
          const { order } = outcome;
          return tagged(orderOf({ ...order, user: await namesOf(order.userId) }));
        }
      }
    },

    async deleteOrder({ params: { id }, header }) {
      const versions = parseIfMatch(header('if-match'));
      const outcome = await deleteOrder(writePool, { id, versions, traceparent: inject() });
      if (outcome.kind === 'not-found') throw notFound(`There is no order ${id}`);
      if (outcome.kind === 'version-mismatch') throw changed(outcome.version);
      wakeRelay();
      return { status: 204 };
    },
  };
}

function created(order: Order): Reply {
  return { status: 201, headers: { Location: `/orders/${order.id}`, ETag: entityTag(order.version) }, body: order };
}

const changed = (version: number) => preconditionFailed(`The order has changed: its version is ${version}`);

function tagged(order: Order): Reply {
  return { headers: { ETag: entityTag(order.version) }, body: order };
}
