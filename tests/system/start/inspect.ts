import assert from 'node:assert/strict';
import { test } from 'node:test';

import { touch, untilReplaced } from './change.ts';
import type { StartedPlatform } from './platform.ts';

/** `--inspect orders`. */
export function inspectTests(platform: StartedPlatform): void {
  test('a debugger finds the service at the printed address, before and after a reload', async () => {
    const [, address] = /debugger +(\S+)/.exec(platform.run().output()) ?? [];
    const target = async (): Promise<{ title: string; webSocketDebuggerUrl: string } | undefined> =>
      ((await (await fetch(`http://${address}/json`)).json()) as { title: string; webSocketDebuggerUrl: string }[])[0];
    const before = await target();
    assert.match(before?.title ?? '', /services\/orders\/main\.ts/);
    const version = (await (await fetch(`http://${address}/json/version`)).json()) as { Browser: string };
    assert.equal(version.Browser, `node.js/${process.version}`);
    await untilReplaced(platform, ['orders'], () => touch(platform, 'services/orders/main.ts'));
    assert.notEqual((await target())?.webSocketDebuggerUrl, before?.webSocketDebuggerUrl);
  });
}
