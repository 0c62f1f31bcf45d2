import { collectContracts, contractDecoder } from '#platform/contract';
import type { EventDataOf } from '#platform/contract';
import { analytics } from './analytics.ts';
import { notifications } from './notifications.ts';
import { orders } from './orders.ts';
import { users } from './users.ts';

/** All contracts: a service in this list has its routes, its topics and its operations in the documents. */
export const contracts = collectContracts(
  { title: 'Millrace', description: 'Users, orders, notifications and analytics of an event-driven platform.' },
  [users, orders, notifications, analytics],
);

/** Reads an event and checks its data against these contracts. */
export const decodeEvent = contractDecoder(contracts.events);

/** The data of each event by its type. */
export type EventData = EventDataOf<typeof users> & EventDataOf<typeof orders> & EventDataOf<typeof analytics>;
