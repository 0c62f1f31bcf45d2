// The whole platform, started as `npm start` starts it, with an OTLP receiver in this process. Its suites share it.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { badInput } from '../platform/bad-input.ts';
import { kafka } from '../platform/kafka.ts';
import { tour } from '../platform/tour.ts';
import { trace } from '../platform/trace.ts';
import type { PlatformUnderTest } from '../platform/under-test.ts';
import { freePortOffset } from '#test/ports.ts';
import { startOtlpReceiver } from '#test/otlp.ts';
import { startPlatform } from '#test/platform.ts';
import type { Platform } from '#test/platform.ts';
import { allowSeconds } from '#test/time-limit.ts';

allowSeconds(300); // it starts the whole platform

describe('the platform', () => {
  const underTest = {} as PlatformUnderTest;
  const data = mkdtempSync(join(tmpdir(), 'millrace-platform-'));
  chmodSync(data, 0o755); // PostgreSQL may run as a user of its own
  let platform: Platform | undefined;
  let receiver: Awaited<ReturnType<typeof startOtlpReceiver>>;

  before(async () => {
    receiver = await startOtlpReceiver();
    platform = await startPlatform({
      portOffset: await freePortOffset(),
      data,
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
        OTEL_BSP_SCHEDULE_DELAY: '200',
        OTEL_TRACES_SAMPLER: 'parentbased_always_off', // only the traces of a test
      },
    });
    const { url, mail, brokers, postgres } = platform;
    Object.assign(underTest, {
      gateway: url('gateway'),
      users: url('users'),
      orders: url('orders'),
      notifications: url('notifications'),
      analytics: url('analytics'),
      mail,
      brokers,
      postgres,
      spans: receiver.spans,
    });
  });

  after(async () => {
    await platform?.stop();
    await receiver.close();
    rmSync(data, { recursive: true, force: true });
  });

  tour(underTest);
  trace(underTest);
  kafka(underTest);
  badInput(underTest);
});
