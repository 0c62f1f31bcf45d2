import { portsWith } from './plan.ts';
import type { Platform } from './platform.ts';

const USER = '{"username":"ada","email":"ada@example.com","firstName":"Ada","lastName":"Lovelace"}';
const ORDER =
  '{"userId":1,"items":[{"productId":1,"productName":"Pocket watch","quantity":2,"unitPrice":12.50,"totalPrice":25.00}]}';

/** What `npm start` prints when everything is ready: what runs where, and what to try. */
export function welcomeScreen(options: {
  platform: Pick<Platform, 'services' | 'door' | 'brokers' | 'kafkaOrigin' | 'inspectPort'>;
  portOffset: number;
  data: string;
  seconds: number;
}): string {
  const { platform, portOffset, data, seconds } = options;
  const ports = portsWith(portOffset);
  const door = platform.door.replace('127.0.0.1', 'localhost');
  const others = platform.services.filter(({ metadata }) => metadata.name !== 'gateway');
  const rows = [
    ['dashboard', `${door}/`],
    ['API', `${door}/docs`],
    ['mail', `http://localhost:${ports.mail}/`],
    ...others.map(({ metadata, spec }) => [metadata.name, `http://localhost:${spec.port + portOffset}`]),
    ['PostgreSQL', `127.0.0.1:${ports.postgres}`],
    ['Kafka', `${platform.brokers} (${platform.kafkaOrigin})`],
    ['data', data],
    ...(platform.inspectPort ? [['debugger', `127.0.0.1:${platform.inspectPort}`]] : []),
  ] as const;
  const width = Math.max(...rows.map(([name]) => name.length));
  const json = "-H 'Content-Type: application/json'";
  return `
Millrace is up after ${seconds.toFixed(1)} s.

${rows.map(([name, place]) => `  ${name.padEnd(width)}  ${place}`).join('\n')}

Register a user, who gets a mail; order something; read the order back:

  curl -s ${door}/api/users ${json} -d '${USER}'
  curl -s ${door}/api/orders ${json} -d '${ORDER}'
  curl -s '${door}/api/orders/1?minVersion=1'

Ctrl-C stops everything.
`;
}
