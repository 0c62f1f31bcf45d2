import type { AcceptedChange } from '#platform/contract';
import { emailPattern, textPattern, timePattern } from '#platform/contract';
import { namePattern } from './users.ts';

/**
 * The changes since the last release that would break somebody and are made nevertheless. `npm run check` takes these and no
 * others; it fails for one that is no change, so that the list is empty after each release.
 */
export const acceptedChanges: readonly AcceptedChange[] = [
  {
    at: ['operation createUser: email', 'operation updateUser: email'],
    change: `changed its pattern to ${emailPattern}`,
    reason: 'An address that can never get mail over the internet is a mistake, and with a line break in it an attack.',
  },
  {
    at: [
      'operation createUser: username',
      'operation createUser: firstName',
      'operation createUser: lastName',
      'operation updateUser: username',
      'operation updateUser: firstName',
      'operation updateUser: lastName',
    ],
    change: `changed its pattern to ${namePattern}`,
    reason: 'It refuses half a surrogate pair, which PostgreSQL cannot store, and nothing else that was accepted.',
  },
  {
    at: [
      'operation createOrder: items[].productName',
      'operation createOrder: shippingAddress',
      'operation createOrder: notes',
      'operation searchOrdersByUsername: username',
      'operation listAlerts: type',
    ],
    change: `changed its pattern to ${textPattern}`,
    reason: 'It describes what was refused already, because PostgreSQL cannot store it.',
  },
  {
    at: [
      'operation listOrdersByDate: startDate',
      'operation listOrdersByDate: endDate',
      'operation getOrderMetrics: from',
      'operation getOrderMetrics: to',
      'operation getUserActivity: from',
      'operation getUserActivity: to',
      'operation getTopUsers: from',
      'operation getTopUsers: to',
      'operation getRevenue: from',
      'operation getRevenue: to',
      'operation getQueryWindows: from',
      'operation getQueryWindows: to',
    ],
    change: `changed its pattern to ${timePattern}`,
    reason: 'It describes what was refused already.',
  },
  {
    at: ['operation listOrdersAbove: minAmount'],
    change: 'changed its type from "number" to "string"',
    reason: 'It describes what was refused already: a number has no pattern, and 1e3 was refused.',
  },
];
