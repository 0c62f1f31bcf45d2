// In a pod: `script.mjs RATE SECONDS` places RATE orders a second through the gateway, whatever the answers do, and prints one line of
// JSON. Without arguments it only keeps the pod.
const gateway = process.env.GATEWAY_URL;
const [rate, seconds] = process.argv.slice(2).map(Number);
const users = 20;
const tickMs = 10;

async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(gateway + path, { method: 'POST', headers, body, signal: AbortSignal.timeout(10_000) });
  const answer = await response.json();
  if (response.status !== 201) throw new Error(`${response.status} ${answer.code ?? ''}`);
  return answer;
}

async function registerUsers() {
  const name = Date.now().toString(36);
  const user = (i) => ({ username: `bench-${name}-${i}`, email: `bench-${name}-${i}@example.com`, firstName: 'Bench', lastName: 'Test' }); // prettier-ignore
  return Promise.all(Array.from({ length: users }, (_, i) => post('/api/users', JSON.stringify(user(i)))));
}

async function measure() {
  const items = [{ productId: 1, productName: 'Sluice gate', quantity: 2, unitPrice: 12.5, totalPrice: 25 }];
  const bodies = (await registerUsers()).map(({ id }) => JSON.stringify({ userId: id, items }));
  const millis = [];
  const failures = {};
  const running = new Set();
  const place = async (body) => {
    const began = performance.now();
    try {
      await post('/api/orders', body);
      millis.push(performance.now() - began);
    } catch (error) {
      const what = error.cause?.code ?? error.message;
      failures[what] = (failures[what] ?? 0) + 1;
    }
  };
  const begin = performance.now();
  for (let sent = 0; sent < rate * seconds;) {
    const due = Math.min(rate * seconds, ((performance.now() - begin) * rate) / 1_000);
    for (; sent < due; sent += 1) {
      const order = place(bodies[sent % users]).finally(() => running.delete(order));
      running.add(order);
    }
    await new Promise((resolve) => setTimeout(resolve, tickMs));
  }
  await Promise.all(running);
  millis.sort((a, b) => a - b);
  const at = (share) => Math.round(millis[Math.floor(share * (millis.length - 1))] ?? 0);
  console.log(JSON.stringify({ placed: millis.length, p50Ms: at(0.5), p99Ms: at(0.99), failures }));
}

if (rate > 0) await measure();
else setInterval(() => undefined, 1 << 30);
