import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';

/** Answers as analytics does for queries that all run. */
export interface RunningAnalytics {
  port: number;
  close(): Promise<void>;
}

/** @param files the files of the queries, as analytics would have mounted them by now */
export async function startAnalytics(files: () => Record<string, string>): Promise<RunningAnalytics> {
  const statuses = () =>
    Object.entries(files()).map(([file, text]) => ({
      query: file.replace(/\.yaml$/, ''),
      state: 'Running',
      version: 1,
      definition: createHash('sha256').update(text).digest('hex'),
      lag: 0,
      eventsPerSecond: 0,
      lateEvents: 0,
      failedEvents: 0,
      watermark: null,
    }));
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(statuses()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
