import type { Pool } from 'pg';
import type { Order, OrderStatus } from '#contracts/orders.ts';
import { orderColumns, orderOfRow } from './row.ts';
import type { OrderRow } from './row.ts';

/** The conditions of a list; all given ones must hold. */
export interface OrderFilter {
  /** decimal digits of a 64-bit integer */
  userId?: string;
  status?: OrderStatus;
  /** created then or later */
  from?: Date;
  /** created then or earlier */
  to?: Date;
  /** part of the username, in any case */
  username?: string;
  /** the total is above this decimal */
  above?: string;
}

export interface Page {
  limit: number;
  /** the id of the last order of the page before */
  cursor?: string | undefined;
}

export interface OrderPage {
  orders: Order[];
  /** the cursor of the next page, if there is one */
  next: string | undefined;
}

/** A page ends early if its items take more than this: 1,000 orders of 500 items each would not fit in memory. */
const maxPageBytes = 4 * 1024 * 1024;

/** `text` as a LIKE pattern that finds it anywhere; `%`, `_` and `\` stand for themselves. */
function containsPattern(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;
}

function conditions(filter: OrderFilter, page: Page, parameter: (value: unknown) => string): string[] {
  const found = ['NOT o.is_deleted'];
  if (filter.userId !== undefined) found.push(`o.user_id = ${parameter(filter.userId)}`);
  if (filter.status !== undefined) found.push(`o.status = ${parameter(filter.status)}`);
  if (filter.from) found.push(`o.created_at >= ${parameter(filter.from)}`);
  if (filter.to) found.push(`o.created_at <= ${parameter(filter.to)}`);
  if (filter.username !== undefined) {
    found.push(`u.username ILIKE ${parameter(containsPattern(filter.username))} ESCAPE '\\'`);
  }
  if (filter.above !== undefined) found.push(`o.total_amount > ${parameter(filter.above)}::numeric`);
  if (page.cursor !== undefined) {
    const id = `${parameter(page.cursor)}::bigint`;
    found.push(`(o.created_at, o.id) < ((SELECT created_at FROM orders WHERE id = ${id}), ${id})`);
  }
  return found;
}

/** Lists orders, newest first, without deleted ones. The next page continues after the last order, also if new orders have come. */
export async function listOrders(pool: Pool, filter: OrderFilter, page: Page): Promise<OrderPage> {
  const values: unknown[] = [];
  const where = conditions(filter, page, (value) => `$${values.push(value)}`).join(' AND ');
  const join = filter.username === undefined ? 'LEFT JOIN' : 'JOIN';
  // one more than a page shows whether there is a next one
  const limit = `$${values.push(page.limit + 1)}`;
  const { rows } = await pool.query<OrderRow & { found: string }>(
    `SELECT * FROM (
       SELECT page.*, count(*) OVER () AS found,
         sum(octet_length(items::text)) OVER (ORDER BY created_at DESC, id DESC) AS bytes
       FROM (
         SELECT ${orderColumns} FROM orders o ${join} users u ON u.id = o.user_id
         WHERE ${where} ORDER BY o.created_at DESC, o.id DESC LIMIT ${limit}
       ) page
     ) sized WHERE coalesce(bytes, 0) <= ${maxPageBytes} ORDER BY created_at DESC, id DESC`,
    values,
  );
  const shown = rows.slice(0, page.limit);
  const last = shown.at(-1);
  return { orders: shown.map(orderOfRow), next: last && Number(last.found) > shown.length ? last.id : undefined };
}
