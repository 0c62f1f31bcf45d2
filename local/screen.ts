import { firstSteps } from './first-steps.ts';
import { portsWith } from './plan.ts';
import type { Platform } from './platform.ts';

/** The text that `npm start` prints when everything is ready: the addresses, and commands to try. */
export function welcomeScreen(options: {
  platform: Pick<Platform, 'services' | 'gatewayUrl' | 'brokers' | 'kafkaOrigin' | 'inspectPort'>;
  portOffset: number;
  data: string;
  seconds: number;
}): string {
  const { platform, portOffset, data, seconds } = options;
  const ports = portsWith(portOffset);
  const gatewayUrl = platform.gatewayUrl.replace('127.0.0.1', 'localhost');
  const others = platform.services.filter(({ metadata }) => metadata.name !== 'gateway');
  const rows = [
    ['dashboard', `${gatewayUrl}/`],
    ['API', `${gatewayUrl}/docs`],
    ['mail', `http://localhost:${ports.mail}/`],
    ...others.map(({ metadata, spec }) => [metadata.name, `http://localhost:${spec.port + portOffset}`]),
    ['PostgreSQL', `127.0.0.1:${ports.postgres}`],
    ['Kafka', `${platform.brokers} (${platform.kafkaOrigin})`],
    ['data', data],
    ...(platform.inspectPort ? [['debugger', `127.0.0.1:${platform.inspectPort}`]] : []),
  ] as const;
  const width = Math.max(...rows.map(([name]) => name.length));
  return `
Millrace is up after ${seconds.toFixed(1)} s.

${rows.map(([name, address]) => `  ${name.padEnd(width)}  ${address}`).join('\n')}

${firstSteps(gatewayUrl)}

Ctrl-C stops everything.
`;
}
