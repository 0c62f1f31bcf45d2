import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of orders. */
export const ordersErrors = {
  ERR_ORDERS_USERS_ANSWER: {
    means: 'The users service has answered a lookup with something that is no user.',
    action: 'See the log of users for the same trace.',
  },
  ERR_ORDERS_USERS_BUSY: {
    means: 'More lookups of users are under way than may be.',
    action: 'Nothing: the client gets 503 and comes back. If it lasts, see why users is slow.',
  },
  ERR_ORDERS_USERS_OPEN: {
    means: 'The users service keeps failing, and is left alone for a while.',
    action: 'See the health of users. The client gets 503 meanwhile.',
  },
} as const satisfies ErrorCatalogue;

/** An error of orders. */
export class OrdersError extends CodedError<keyof typeof ordersErrors> {
  override name = 'OrdersError';
}
