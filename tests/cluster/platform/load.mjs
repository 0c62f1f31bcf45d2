// Runs in a pod: several clients place orders without a pause until SIGTERM. It then prints the result as one line.
const gateway = process.env.GATEWAY_URL;
const clients = 4;
const pauseMs = 40;
const report = { placed: [], failures: [] };
const stopping = new AbortController();
process.on('SIGTERM', () => stopping.abort());

async function call(method, path, body) {
  const started = Date.now();
  try {
    const response = await fetch(gateway + path, {
      method,
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await response.text();
    if (response.status < 300) return JSON.parse(text);
    report.failures.push(`${method} ${path}: ${response.status} ${text}`);
  } catch (error) {
    report.failures.push(
      `${method} ${path}: ${error.cause?.code ?? error.cause ?? error} after ${Date.now() - started} ms`,
    );
  }
  return undefined;
}

const name = `load-${Date.now().toString(36)}`;
const person = { username: name, email: `${name}@example.com`, firstName: 'Load', lastName: 'Test' };
const user = await call('POST', '/api/users', person);
console.log(`user ${user?.id}`);
const item = { productId: 1, productName: 'Sluice gate', quantity: 1, unitPrice: 10, totalPrice: 10 };

await Promise.all(
  Array.from({ length: clients }, async () => {
    while (!stopping.signal.aborted) {
      const order = await call('POST', '/api/orders', { userId: user.id, items: [item] });
      if (order) report.placed.push(order.id);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }),
);
const { placed, failures } = report;
const some = [placed[0], placed[placed.length >> 1], placed.at(-1)];
console.log(JSON.stringify({ placed: placed.length, some, failed: failures.length, failures: failures.slice(0, 20) }));
