import type { Pool } from 'pg';
import type { orders } from '#contracts/orders.ts';
import { defaultLimit, parseTime } from '#platform/contract';
import type { Handlers, Reply } from '#platform/http';
import { badRequest, entityTag, nextPage, notFound } from '#platform/http';
import { listOrders } from './list.ts';
import type { OrderFilter } from './list.ts';
import { findOrder, orderStatistics, storedEvents } from './one.ts';
import type { VersionWaiter } from '#platform/projection';

export interface QueryOptions {
  readPool: Pool;
  /** only for an order's own events: it has the event store */
  writePool: Pool;
  waiter: VersionWaiter;
}

type Queries = Omit<Handlers<typeof orders.operations>, 'createOrder' | 'setOrderStatus' | 'deleteOrder'>;

interface ListQuery {
  limit?: number | undefined;
  cursor?: string | undefined;
}

/** The queries on orders, on the read database, which may lag the commands by some milliseconds. */
export function queryHandlers({ readPool, writePool, waiter }: QueryOptions): Queries {
  async function list(
    path: string,
    query: ListQuery & Record<string, string | number | undefined>,
    filter: OrderFilter,
  ): Promise<Reply> {
    const { limit = defaultLimit, cursor } = query;
    const page = await listOrders(readPool, filter, { limit, cursor });
    return { body: page.orders, headers: nextPage(path, query, page.next) };
  }

  return {
    listOrders: ({ query }) => list('/orders', query, {}),

    listUserOrders: ({ params: { userId }, query }) => list(`/orders/user/${userId}`, query, { userId }),

    listOrdersByStatus: ({ params: { status }, query }) => list(`/orders/status/${status}`, query, { status }),

    listUserOrdersByStatus: ({ params: { userId, status }, query }) =>
      list(`/orders/user/${userId}/status/${status}`, query, { userId, status }),

    listOrdersByDate({ query }) {
      const from = parseTime(query.startDate)!;
      const to = parseTime(query.endDate)!;
      if (from > to) {
        throw badRequest('A parameter has a fault', [{ field: 'endDate', message: 'must not be before startDate' }]);
      }
      return list('/orders/date-range', query, { from, to });
    },

    searchOrdersByUsername({ query }) {
      const { username } = query;
      return list('/orders/search/username', query, { username: username.normalize('NFC') }); // as users keeps it
    },

    listOrdersAbove: ({ query }) => list('/orders/amount-greater-than', query, { above: query.minAmount }),

    async getOrder(request) {
      const { id } = request.params;
      const { minVersion } = request.query;
      let order = await findOrder(readPool, id);
      if (minVersion !== undefined && (order?.version ?? 0) < minVersion) {
        await waiter.wait(id, minVersion, request.signal);
        order = await findOrder(readPool, id);
      }
      if (!order) throw notFound(`There is no order ${id}`);
      return { body: order, headers: { ETag: entityTag(order.version) } };
    },

    async getOrderStatistics() {
      return { body: await orderStatistics(readPool) };
    },

    async listOrderEvents({ params: { id } }) {
      const events = await storedEvents(writePool, id);
      if (events.length === 0) throw notFound(`There is no order ${id}`);
      return { body: events };
    },
  };
}
