import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { drainable } from './drain.ts';

/** A client in a thread of its own: it keeps its connection, and sends a second request when it is told to. */
const client = `
  const { connect } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  const socket = connect(workerData, '127.0.0.1');
  let received = '';
  const request = 'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n';
  socket.on('data', (data) => {
    received += data;
    const answers = received.split('HTTP/1.1 200').length - 1;
    parentPort.postMessage(answers === 1 ? 'first' : 'second');
  });
  socket.on('error', ({ code }) => parentPort.postMessage(code));
  socket.on('close', () => parentPort.postMessage('closed'));
  socket.on('connect', () => socket.write(request));
  parentPort.on('message', () => socket.write(request, () => parentPort.postMessage('sent')));
`;

it('a draining server answers what has arrived on a kept connection while it was busy', async () => {
  const server = createServer((_, response) => response.end('ok'));
  const draining = drainable(server);
  const port = await draining.listen(0, '127.0.0.1');
  const worker = new Worker(client, { eval: true, workerData: port });
  try {
    const messages: string[] = [];
    worker.on('message', (message: string) => messages.push(message));
    await once(worker, 'message');
    assert.deepEqual(messages, ['first']);
    const closing = draining.close();
    worker.postMessage('again');
    // busy for longer than the pause between two sweeps, and than the client needs to send
    for (const end = performance.now() + 500; performance.now() < end;);
    await once(worker, 'message');
    while (messages.length < 3) await once(worker, 'message');
    assert.ok(messages.includes('second'), messages.join(', '));
    await closing;
  } finally {
    await worker.terminate();
  }
});
