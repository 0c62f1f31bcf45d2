import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const environmentFile = fileURLToPath(new URL('../../.millrace/test.env', import.meta.url));

/** The addresses of the PostgreSQL (superuser) and Kafka of tests. */
export interface TestServers {
  postgres: string;
  brokers: string;
}

/**
 * The servers that `npm test` started for this run, else those that `npm run test:servers` keeps, which allow
 * `node --test services/orders/projection.test.ts`.
 */
export function testServers(): TestServers {
  const { MILLRACE_TEST_POSTGRES: postgres, MILLRACE_TEST_KAFKA: brokers } = { ...keptServers(), ...process.env };
  if (postgres && brokers) return { postgres, brokers };
  throw new Error('The tests need servers: run `npm test -- <files>`, or keep servers with `npm run test:servers`.');
}

/** The addresses that `npm run test:servers` has written; empty if it does not run. */
export function keptServers(): Record<string, string> {
  try {
    const lines = readFileSync(environmentFile, 'utf8').split('\n');
    return Object.fromEntries(
      lines.filter(Boolean).map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
    );
  } catch {
    return {};
  }
}
