import type { ReceivedEvent } from '#platform/contract';
import type { EventData } from '#contracts/index.ts';
import type { OrderCreated, OrderDeleted, OrderStatusChanged } from '#contracts/orders.ts';
import type { OrderItem, OrderStatus } from '#contracts/orders.ts';

/** The fields that only `order.created` has. */
export interface OrderDetails {
  items: OrderItem[];
  shippingAddress: string | null;
  notes: string | null;
}

/** The changes of an order by a batch of events, up to its last version in the batch. */
export interface OrderChange {
  id: number;
  userId: number;
  status: OrderStatus;
  totalAmount: number;
  details: OrderDetails | undefined;
  isDeleted: boolean;
  version: number;
  createdAt: string;
  updatedAt: string;
  /** the partition of order-events with the last event */
  partition: number;
}

/** The same for a user; a deletion has no names. */
export interface UserChange {
  id: number;
  username: string | null;
  email: string | null;
  isDeleted: boolean;
  version: number;
}

export interface Changes {
  /** by id, ascending: writers that lock rows in the same order cannot deadlock */
  orders: OrderChange[];
  users: UserChange[];
}

/** One change for each aggregate of a batch, whatever the order and number of its events; it ignores other events. */
export function changesOf(events: readonly ReceivedEvent[]): Changes {
  const orders = new Map<number, OrderChange>();
  const users = new Map<number, UserChange>();
  for (const { type, data, partition } of events) {
    if (type === 'order.created') keepOrder(orders, fromCreated(data as OrderCreated, partition));
    else if (type === 'order.status-changed') {
      const change = data as OrderStatusChanged;
      keepOrder(orders, fromChange(change, change.changedAt, false, partition));
    } else if (type === 'order.deleted') {
      const change = data as OrderDeleted;
      keepOrder(orders, fromChange(change, change.deletedAt, true, partition));
    } else if (type === 'user.created' || type === 'user.updated') {
      const { userId, username, email, version } = data as EventData['user.updated'];
      keepUser(users, { id: userId, username, email, isDeleted: false, version });
    } else if (type === 'user.deleted') {
      const { userId, version } = data as EventData['user.deleted'];
      keepUser(users, { id: userId, username: null, email: null, isDeleted: true, version });
    }
  }
  return { orders: [...orders.values()].toSorted(byId), users: [...users.values()].toSorted(byId) };
}

const byId = (a: { id: number }, b: { id: number }) => a.id - b.id;

function fromCreated(event: OrderCreated, partition: number): OrderChange {
  const { orderId, userId, status, totalAmount, items, shippingAddress, notes, createdAt } = event;
  return {
    id: orderId,
    userId,
    status,
    totalAmount,
    details: { items: items.map(declaredOf), shippingAddress, notes },
    isDeleted: false,
    version: 1,
    createdAt,
    updatedAt: createdAt,
    partition,
  };
}

/** An item without members that the contract does not declare: nothing has checked those, and a database may refuse them. */
function declaredOf({ productId, productName, quantity, unitPrice, totalPrice }: OrderItem): OrderItem {
  return { productId, productName, quantity, unitPrice, totalPrice };
}

function fromChange(
  event: OrderStatusChanged | OrderDeleted,
  updatedAt: string,
  isDeleted: boolean,
  partition: number,
): OrderChange {
  const { orderId, userId, status, totalAmount, version, createdAt } = event;
  return {
    id: orderId,
    userId,
    status,
    totalAmount,
    details: undefined,
    isDeleted,
    version,
    createdAt,
    updatedAt,
    partition,
  };
}

function keepOrder(orders: Map<number, OrderChange>, change: OrderChange): void {
  const known = orders.get(change.id);
  if (!known) {
    orders.set(change.id, change);
    return;
  }
  const newest = change.version > known.version ? change : known;
  newest.details ??= (newest === change ? known : change).details;
  orders.set(change.id, newest);
}

function keepUser(users: Map<number, UserChange>, change: UserChange): void {
  const known = users.get(change.id);
  if (!known) {
    users.set(change.id, change);
    return;
  }
  const [newest, older] = change.version > known.version ? [change, known] : [known, change];
  newest.username ??= older.username;
  newest.email ??= older.email;
  users.set(change.id, newest);
}
