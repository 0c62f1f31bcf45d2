import type { AcceptedChange } from '#platform/contract';
import { emailPattern, eventTimePattern, textPattern, timePattern } from '#platform/contract';
import { namePattern } from './users.ts';

const userEvents = ['user.created', 'user.updated'];
const orderChanges = ['order.status-changed', 'order.deleted'];

/** Fields of events. */
function fieldsOf(events: string[], ...fields: string[]): AcceptedChange['at'] {
  return events.flatMap((event) => fields.map((field) => `event ${event}: ${field}`)) as [string, ...string[]];
}

const timesOfEvents: AcceptedChange['at'] = [
  ...fieldsOf([...userEvents, 'order.created', ...orderChanges], 'createdAt'),
  ...fieldsOf(userEvents, 'updatedAt'),
  ...fieldsOf(['user.deleted', 'order.deleted'], 'deletedAt'),
  ...fieldsOf(['order.status-changed'], 'changedAt'),
];

const neverPublished = 'No service publishes what is refused now, and a database of a consumer could not store it.';

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
  {
    at: [
      ...fieldsOf(userEvents, 'username', 'email', 'firstName', 'lastName', 'status'),
      ...fieldsOf(['order.created'], 'items[].productName', 'shippingAddress', 'notes'),
    ],
    change: `changed its pattern to ${textPattern}`,
    reason: neverPublished,
  },
  {
    at: timesOfEvents,
    change: `changed its pattern to ${eventTimePattern}`,
    reason: neverPublished,
  },
  {
    at: timesOfEvents,
    change: 'has a narrower maxLength: 64',
    reason:
      'Services publish 24 characters, and PostgreSQL takes none of 160: one consumer stored what another refused.',
  },
  ...['has a narrower minimum: 1', 'has a narrower maximum: 2147483647'].map((change) => ({
    at: fieldsOf([...userEvents, 'user.deleted', ...orderChanges], 'version'),
    change,
    reason: neverPublished,
  })),
  {
    at: [
      ...fieldsOf(['order.created', ...orderChanges], 'totalAmount'),
      ...fieldsOf(['order.created'], 'items[].unitPrice', 'items[].totalPrice'),
      'operation createOrder: items[].unitPrice',
      'operation createOrder: items[].totalPrice',
    ],
    change: 'changed its multipleOf to 0.01',
    reason: 'It describes what was refused already: amounts with parts of a cent.',
  },
];
