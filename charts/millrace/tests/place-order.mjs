// The `helm test`: registers a user, places an order, and reads it back from the read model, as a client would.
// Where the gateway asks for a token and there is none, it only sees that the gateway answers.
const { GATEWAY_URL: gateway, GATEWAY_TOKEN: token } = process.env;
const within = AbortSignal.timeout(60_000);

/** What a service that is not ready answers, or a gateway in its place; after 504 nobody knows what a command did. */
const notReady = [404, 502, 503, 504];

/** One call, repeated while the service is not ready. @param bodyOf makes the body of an attempt */
async function call(method, path, bodyOf, headers) {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(gateway + path, {
      method,
      signal: within,
      headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }), ...headers },
      ...(bodyOf && { body: JSON.stringify(bodyOf(attempt)) }),
    }).catch((error) => {
      within.throwIfAborted();
      return { status: 503, headers: new Headers(), text: async () => String(error.cause ?? error) };
    });
    const text = await response.text();
    if (response.status < 300) return JSON.parse(text);
    if (response.status === 401 && !token) {
      console.log('the gateway answers, and asks for a token: test.tokenSecret lets the test place an order');
      process.exit(0);
    }
    if (!notReady.includes(response.status)) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
    within.throwIfAborted();
  }
}

// an attempt whose outcome is unknown may have taken its name
const user = await call('POST', '/api/users', (attempt) => {
  const username = `helm-test-${Date.now().toString(36)}-${attempt}`;
  return { username, email: `${username}@example.com`, firstName: 'Helm', lastName: 'Test' };
});
console.log(`user ${user.id} is registered`);
const item = { productId: 1, productName: 'Pocket watch', quantity: 2, unitPrice: 600, totalPrice: 1200 };
const order = { userId: user.id, items: [item] };
const placed = await call('POST', '/api/orders', () => order, { 'Idempotency-Key': user.username });
console.log(`order ${placed.id} is placed`);
// from the read model, which gets the events of the order and of its user through Kafka, at different times
let read;
do {
  within.throwIfAborted();
  read = await call('GET', `/api/orders/${placed.id}?minVersion=${placed.version}`);
  if (read.userUsername === null) await new Promise((resolve) => setTimeout(resolve, 200));
} while (read.userUsername === null);
if (read.totalAmount !== 1200 || read.userUsername !== user.username)
  throw new Error(`read back: ${JSON.stringify(read)}`);
console.log(`order ${read.id} is read back: ${read.totalAmount} by ${read.userUsername}`);
