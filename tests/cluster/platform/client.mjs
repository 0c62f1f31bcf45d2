// Runs in a pod that stays when others are deleted: forwards every request to the gateway, by its name in the cluster.
import { createServer, request } from 'node:http';

const server = createServer((incoming, outgoing) => {
  const { method, url, headers } = incoming;
  const onward = request(new URL(url, process.env.GATEWAY_URL), { method, headers, agent: false }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  onward.once('error', ({ message }) => outgoing.writeHead(502).end(message));
  incoming.pipe(onward);
});
server.keepAliveTimeout = 600_000; // a client may pause for long
server.listen(8000);
process.on('SIGTERM', () => process.exit(0));
