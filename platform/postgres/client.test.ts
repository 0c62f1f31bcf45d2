import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { startProxy } from '#test/proxy.ts';
import { testServers } from '#test/servers.ts';
import { withClient, withConnection } from './client.ts';

/** A wire to the tests' PostgreSQL, and the connection string by it. */
async function proxyOf(t: TestContext) {
  const url = new URL(testServers().postgres);
  const proxy = await startProxy(url.hostname, Number(url.port));
  t.after(() => proxy.stop());
  return { proxy, url: Object.assign(url, { port: String(proxy.port) }).href };
}

test('a server that falls silent is asked nothing more in that session', async (t) => {
  const { proxy, url } = await proxyOf(t);
  const work = withConnection(
    { connectionString: url },
    async (client) => {
      await client.query('SELECT 1');
      proxy.silence();
      await assert.rejects(client.query('SELECT 2'), { code: 'ERR_DATABASE_SILENT' });
      await client.query('SELECT 3');
    },
    300,
  );
  await assert.rejects(work, /is not queryable/);
});

test('a server that falls silent before the session ends keeps nobody waiting', { timeout: 30_000 }, async (t) => {
  const { proxy, url } = await proxyOf(t);
  const result = await withClient(url, async (client) => {
    await client.query('SELECT 1');
    proxy.silence();
    return 'done';
  });
  assert.equal(result, 'done');
});
