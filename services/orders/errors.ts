import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of orders. */
export const ordersErrors = {
  ERR_ORDERS_USERS_ANSWER: {
    means: 'The response of the users service to a lookup is not a user.',
    action: 'Read the log of users for the same trace.',
  },
  ERR_ORDERS_USERS_BUSY: {
    means: 'Too many lookups of users are in flight.',
    action: 'Nothing: the client gets 503 and tries again. If the error persists, find out why users is slow.',
  },
  ERR_ORDERS_USERS_OPEN: {
    means: 'The users service keeps failing, and the circuit to it is open.',
    action: 'Check the health of users. The client gets 503 meanwhile.',
  },
} as const satisfies ErrorCatalogue;

/** An error of orders. */
export class OrdersError extends CodedError<keyof typeof ordersErrors> {
  override name = 'OrdersError';
}
