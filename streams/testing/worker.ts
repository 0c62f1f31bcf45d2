import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testKafka } from '#test/kafka.ts';

const service = fileURLToPath(new URL('../../services/analytics/main.ts', import.meta.url));

/** A worker of the service as a process of its own. @param port where it serves; 0: anywhere */
export function spawnWorker(options: { databaseUrl: string; declarations: string; port?: number }): ChildProcess {
  return spawn(process.execPath, ['--no-warnings', service], {
    env: {
      ...process.env,
      PORT: String(options.port ?? 0),
      HOST: '127.0.0.1',
      LOG_LEVEL: 'fatal',
      KAFKA_BROKERS: testKafka().brokers,
      DATABASE_URL: options.databaseUrl,
      MILLRACE_DECLARATIONS: options.declarations,
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

/**
 * Writes the declarations of the service with queries of its own.
 * @param topics the first is read, by the group `group-<topic>`; queries may emit to all
 * @param queries from their names to what follows `from` in their `spec`, in YAML that is indented by two
 */
export function declareWorker(
  folder: string,
  { topics, partitions, queries }: { topics: string[]; partitions: number; queries: Record<string, string> },
): void {
  const [topic] = topics;
  const file = (path: string, text: string) => writeFileSync(join(folder, path), text);
  for (const name of ['services', 'queries']) mkdirSync(join(folder, name));
  const produces = topics.map((name) => `{ topic: ${name}, partitions: ${partitions}, retention: -1 }`);
  file(
    'services/analytics.yaml',
    `apiVersion: millrace.dev/v1beta1
kind: EventService
metadata: { name: analytics }
spec:
  port: 8084
  produces: [${produces.join(', ')}]
  consumes: [{ group: group-${topic}, topics: [${topic}], database: analytics }]
`,
  );
  for (const [name, spec] of Object.entries(queries))
    file(
      `queries/${name}.yaml`,
      `apiVersion: millrace.dev/v1beta1
kind: StreamQuery
metadata: { name: ${name} }
spec:
  from: [{ topic: ${topic} }]
${spec}`,
    );
}
