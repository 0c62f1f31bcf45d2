/** Random numbers from 0 to 1; the same seed gives the same numbers (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A request of the demo, and the expected status of the response. */
export interface DemoRequest {
  method: 'POST' | 'PUT' | 'GET';
  path: string;
  body?: unknown;
  expected: number;
}

const FIRST_NAMES = ['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Frances', 'Ken', 'Radia', 'Niklaus'];
const LAST_NAMES = ['Miller', 'Weaver', 'Cooper', 'Fletcher', 'Sawyer', 'Thatcher', 'Wright', 'Chandler', 'Mercer'];
const STREETS = ['Mill Lane', 'Water Street', 'Wheel Road', 'Weir Close', 'Race Way'];
/** Prices in cents. Most orders are below 1,000, some above, so that they raise the alert on high orders. */
const PRODUCTS = [
  [100, 'Flour, stone ground, 1 kg', 320],
  [101, 'Rolled oats, 500 g', 245],
  [102, 'Rye bread', 480],
  [200, 'Linen apron', 3_490],
  [201, 'Bread knife', 4_995],
  [202, 'Proofing basket', 2_150],
  [300, 'Grain mill, by hand', 18_900],
  [301, 'Stand mixer', 54_900],
  [302, 'Stone oven', 189_000],
] as const;

const pick = <T>(random: () => number, list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;

/**
 * A person who registers.
 * @param unique part of the username that is unique in all runs
 */
export function person(random: () => number, unique: string): Record<string, string> {
  const firstName = pick(random, FIRST_NAMES);
  const lastName = pick(random, LAST_NAMES);
  const username = `${firstName}.${lastName}.${unique}`.toLowerCase();
  return { username, email: `${username}@example.com`, firstName, lastName };
}

/** An order: mostly one or two items, cheap ones more often than expensive ones. */
export function basket(random: () => number, userId: number): Record<string, unknown> {
  const count = 1 + Math.floor(random() ** 2 * 4);
  const items = Array.from({ length: count }, () => {
    const [productId, productName, cents] = PRODUCTS[Math.floor(random() ** 2 * PRODUCTS.length)] ?? PRODUCTS[0];
    const quantity = 1 + Math.floor(random() ** 3 * 5);
    return { productId, productName, quantity, unitPrice: cents / 100, totalPrice: (cents * quantity) / 100 };
  });
  const shippingAddress = `${1 + Math.floor(random() * 90)} ${pick(random, STREETS)}`;
  return { userId, items, shippingAddress, ...(random() < 0.2 && { notes: 'Please ring twice' }) };
}

/** The status changes of an order, and the seconds before each. */
export function lifeOf(random: () => number): { status: string; after: number }[] {
  const wait = (least: number, most: number): number => least + random() * (most - least);
  const confirmed = { status: 'CONFIRMED', after: wait(1, 6) };
  const end = random();
  if (end < 0.06) return [{ status: 'CANCELLED', after: wait(1, 15) }];
  if (end < 0.1) return [confirmed, { status: 'CANCELLED', after: wait(2, 15) }];
  const shipped = { status: 'SHIPPED', after: wait(5, 25) };
  return end < 0.25 ? [confirmed, shipped] : [confirmed, shipped, { status: 'DELIVERED', after: wait(10, 40) }];
}

/** Mistakes of clients, each with the expected status. */
export function mistake(random: () => number, known: { userId: number; user: Record<string, string> }): DemoRequest {
  const order = basket(random, known.userId);
  const item = { productId: 1, productName: 'Scales', quantity: 3, unitPrice: 10, totalPrice: 29.99 };
  const mistakes: DemoRequest[] = [
    { method: 'POST', path: '/api/orders', body: { ...order, items: [] }, expected: 400 },
    { method: 'POST', path: '/api/orders', body: { ...order, items: [item] }, expected: 400 },
    { method: 'POST', path: '/api/orders', body: { ...order, coupon: 'FREE' }, expected: 400 },
    { method: 'POST', path: '/api/orders', body: { ...order, userId: 9_000_000_000 }, expected: 422 },
    { method: 'POST', path: '/api/users', body: known.user, expected: 409 },
    { method: 'POST', path: '/api/users', body: { ...known.user, email: 'nowhere' }, expected: 400 },
    { method: 'PUT', path: '/api/orders/9000000000/status', body: { status: 'CONFIRMED' }, expected: 404 },
    { method: 'GET', path: '/api/orders/9000000000', expected: 404 },
    { method: 'GET', path: '/api/nowhere', expected: 404 },
  ];
  return pick(random, mistakes);
}
