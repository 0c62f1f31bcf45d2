// The whole platform, started as `npm start` starts it: a command, its event, the projection and the window.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { startPlatform } from '#test/platform.ts';
import type { Platform } from '#test/platform.ts';
import { freePortOffset } from '#test/ports.ts';

describe('the platform', () => {
  const data = mkdtempSync(join(tmpdir(), 'millrace-platform-'));
  chmodSync(data, 0o755); // PostgreSQL may run as a user of its own
  let platform: Platform | undefined;
  let gateway = '';

  before(async () => {
    platform = await startPlatform({ portOffset: await freePortOffset(), data });
    gateway = platform.url('gateway');
  });
  after(async () => {
    await platform?.stop();
    rmSync(data, { recursive: true, force: true });
  });

  /** Repeats a request until its response is as wanted. */
  async function until(path: string, isWanted: (body: never) => boolean): Promise<void> {
    const ask = async () => isWanted((await (await fetch(`${gateway}${path}`)).json()) as never);
    await eventually(ask, path, 60_000);
  }

  test('takes an item, and its event reaches the projection and the window', async () => {
    const answer = await fetch(`${gateway}/api/items`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Pocket watch' }),
    });
    assert.equal(answer.status, 201);
    await until('/api/items/latest-events', (events: { type: string }[]) => events[0]?.type === 'item.created');
    await until('/analytics/queries/item-created/windows', (windows: { values: { created: number } }[]) =>
      windows.some(({ values }) => values.created === 1),
    );
  });
});
