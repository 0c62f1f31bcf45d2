import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPlatform } from '#test/platform.ts';
import type { Platform } from '#test/platform.ts';
import { freePortOffset } from '#test/ports.ts';

export interface BenchPlatform {
  platform: Platform;
  /** users for orders */
  userIds: number[];
}

/** A collector that discards spans, so that tracing costs the services as much as in production. */
async function startSink(): Promise<{ endpoint: string; close(): void }> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.setHeader('content-type', 'application/x-protobuf').end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Runs a measurement against a fresh platform with 1,000 users, and removes everything afterwards. */
export async function withBenchPlatform(
  { sampled }: { sampled: number },
  measure: (bench: BenchPlatform) => Promise<void>,
): Promise<void> {
  const sink = sampled > 0 ? await startSink() : undefined;
  const data = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  chmodSync(data, 0o755); // PostgreSQL may run as a user of its own
  let platform: Platform | undefined;
  try {
    platform = await startPlatform({
      portOffset: await freePortOffset(),
      data,
      env: {
        LOG_LEVEL: 'warn',
        ...(sink && {
          OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint,
          OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
          OTEL_TRACES_SAMPLER_ARG: String(sampled),
        }),
      },
      verbose: process.env['VERBOSE'] !== undefined,
    });
    console.log(`up after ${platform.readyAfter.toFixed(1)} s`);
    await measure({ platform, userIds: await registerUsers(platform.url('gateway'), 1_000) });
  } finally {
    await platform?.stop();
    sink?.close();
    rmSync(data, { recursive: true, force: true });
  }
}

async function registerUsers(gateway: string, count: number): Promise<number[]> {
  const ids: number[] = [];
  const register = async (i: number) => {
    const response = await fetch(`${gateway}/api/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        username: `bench${i}`,
        email: `bench${i}@example.com`,
        firstName: 'Bench',
        lastName: 'User',
      }),
    });
    if (response.status !== 201) throw new Error(`user ${i}: ${response.status} ${await response.text()}`);
    ids.push(((await response.json()) as { id: number }).id);
  };
  for (let i = 0; i < count; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => register(i + k)));
  return ids;
}
