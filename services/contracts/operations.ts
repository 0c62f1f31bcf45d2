import { analyticsOperations } from './analytics.ts';
import { notificationsOperations } from './notifications.ts';
import type { Operation } from './operation.ts';
import { ordersOperations } from './orders.ts';
import { usersOperations } from './users.ts';

/** Every HTTP operation of the platform. */
export const operations: readonly Operation[] = [
  usersOperations,
  ordersOperations,
  notificationsOperations,
  analyticsOperations,
].flatMap((group): Operation[] => Object.values(group));
