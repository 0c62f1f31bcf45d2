import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { eventually } from './eventually.ts';
import { startProxy } from './proxy.ts';

/** A proxy to a server that sends back what it gets. */
async function startEcho(t: TestContext) {
  const server = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await startProxy('127.0.0.1', (server.address() as AddressInfo).port);
  t.after(async () => {
    await proxy.stop();
    server.close();
  });
  return proxy;
}

function open(t: TestContext, port: number): { socket: Socket; received: () => string; isClosed: () => boolean } {
  const socket = connect(port, '127.0.0.1');
  let [received, isClosed] = ['', false];
  socket.setEncoding('utf8').on('data', (text: string) => (received += text));
  socket.on('error', () => undefined).on('close', () => (isClosed = true));
  t.after(() => socket.destroy());
  return { socket, received: () => received, isClosed: () => isClosed };
}

test('a cut breaks the connections and the new ones, until it is restored', async (t) => {
  const proxy = await startEcho(t);
  const before = open(t, proxy.port);
  before.socket.write('a');
  await eventually(() => before.received() === 'a');
  proxy.cut();
  await eventually(before.isClosed);
  const during = open(t, proxy.port);
  await eventually(during.isClosed);
  proxy.restore();
  const after = open(t, proxy.port);
  after.socket.write('b');
  await eventually(() => after.received() === 'b');
});

test('a silent wire carries nothing and closes nothing; later it delivers what was sent meanwhile', async (t) => {
  const proxy = await startEcho(t);
  const before = open(t, proxy.port);
  before.socket.write('a');
  await eventually(() => before.received() === 'a');
  proxy.silence();
  const during = open(t, proxy.port);
  await once(during.socket, 'connect');
  await new Promise<void>((written) => before.socket.write('b', () => written()));
  await new Promise<void>((written) => during.socket.write('c', () => written()));
  assert.deepEqual([before.received(), during.received()], ['a', '']);
  proxy.restore();
  await eventually(() => before.received() === 'ab' && during.received() === 'c');
  assert.ok(!before.isClosed() && !during.isClosed());
});

test('frozen connections stay open and carry nothing, and new ones carry everything', async (t) => {
  const proxy = await startEcho(t);
  const before = open(t, proxy.port);
  before.socket.write('a');
  await eventually(() => before.received() === 'a');
  proxy.freeze();
  const after = open(t, proxy.port);
  await new Promise<void>((written) => before.socket.write('b', () => written()));
  after.socket.write('c');
  await eventually(() => after.received() === 'c');
  assert.deepEqual([before.received(), before.isClosed()], ['a', false]);
});
