// The `helm test`: registers a user, places an order, and reads it back from the read model, as a client would.
const gateway = process.env.GATEWAY_URL;
const within = AbortSignal.timeout(60_000);

/** One call, repeated while the service is not ready. */
async function call(method, path, body) {
  for (;;) {
    const response = await fetch(gateway + path, {
      method,
      signal: within,
      headers: { 'Content-Type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    }).catch((error) => {
      within.throwIfAborted();
      return { status: 503, headers: new Headers(), text: async () => String(error.cause ?? error) };
    });
    const text = await response.text();
    if (response.status < 300) return JSON.parse(text);
    if (response.status !== 503 && response.status !== 404)
      throw new Error(`${method} ${path}: ${response.status} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
    within.throwIfAborted();
  }
}

const name = `helm-test-${Date.now().toString(36)}`;
const user = await call('POST', '/api/users', {
  username: name,
  email: `${name}@example.com`,
  firstName: 'Helm',
  lastName: 'Test',
});
console.log(`user ${user.id} is registered`);
const item = { productId: 1, productName: 'Pocket watch', quantity: 2, unitPrice: 600, totalPrice: 1200 };
const placed = await call('POST', '/api/orders', { userId: user.id, items: [item] });
console.log(`order ${placed.id} is placed`);
// from the read model, which gets the events of the order and of its user through Kafka, at different times
let order;
do {
  within.throwIfAborted();
  order = await call('GET', `/api/orders/${placed.id}?minVersion=${placed.version}`);
  if (order.userUsername === null) await new Promise((resolve) => setTimeout(resolve, 200));
} while (order.userUsername === null);
if (order.totalAmount !== 1200 || order.userUsername !== name) throw new Error(`read back: ${JSON.stringify(order)}`);
console.log(`order ${order.id} is read back: ${order.totalAmount} by ${order.userUsername}`);
