import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { defineContract } from '#platform/contract';
import { Health } from '#platform/health';
import { createHttp } from '#platform/http';
import { consumerPart } from '#platform/inbox';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import { startGateway, startUpstream } from './testing.ts';

const issuer = 'https://issuer.example';
const audience = 'millrace';
const consumers = ['orders', 'notifications'];

/** A service with one dead letter, and another one behind it. */
async function startConsumer(t: TestContext): Promise<string> {
  const { pool, drop } = await createTestDatabase();
  await pool.query(
    `INSERT INTO millrace.dead_letters (consumer_group, topic, partition, "offset", key, headers, timestamp, reason, attempts, is_waiting)
     VALUES ('g', 't', 0, 1, 'k', '{}', now(), 'bad', 5, false), ('g', 't', 0, 2, 'k', '{}', now(), '', 0, true)`,
  );
  const kafka = { admin: {} } as Parameters<typeof consumerPart>[0]['kafka'];
  const part = consumerPart({ group: 'g', topics: [], pool, kafka });
  const log = createLogger('ops', 'silent');
  const http = createHttp({ contract: defineContract('orders', {}), handlers: {}, health: new Health(), log, part });
  const port = await http.listen(0, '127.0.0.1');
  t.after(async () => {
    await http.close();
    await drop();
  });
  return `http://127.0.0.1:${port}`;
}

describe('the operations of consumers at the gateway', () => {
  it('go to the service that the path names', async (t) => {
    const other = await startUpstream(t, (_, response) => response.end('[]'));
    const gateway = await startGateway(t, other.url, { consumers, addresses: { orders: await startConsumer(t) } });
    const at = (path: string, init?: RequestInit) => fetch(`${gateway.url}/api/ops/${path}`, init);
    const post = (path: string, body: unknown) =>
      at(path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    const page = await at('orders/dead-letters?limit=1');
    const letters = (await page.json()) as { id: number; state: string }[];
    assert.deepEqual(
      letters.map(({ id, state }) => [id, state]),
      [[2, 'WAITING']],
    );
    assert.equal(page.headers.get('link'), '</api/ops/orders/dead-letters?limit=1&cursor=2>; rel="next"');
    assert.equal((await at('notifications/dead-letters')).status, 200);
    assert.equal((await at('users/dead-letters')).status, 404, 'it consumes nothing');
    assert.equal((await at('orders/dead-letters', { method: 'DELETE' })).status, 405);

    const refused = await post('orders/dead-letters/replay', { expected: 2 });
    const { instance } = (await refused.json()) as { instance: string };
    assert.deepEqual([refused.status, instance], [409, '/api/ops/orders/dead-letters/replay']);
    const accepted = await post('orders/dead-letters/1/replay', {});
    assert.deepEqual([accepted.status, accepted.headers.get('location')], [202, '/api/ops/orders/dead-letters/jobs/1']);
  });

  it('need the role of an operator where authentication is on', async (t) => {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
    const issuerServer = await startUpstream(t, (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: [jwk] }));
    });
    const service = await startUpstream(t, (_, response) => response.end('[]'));
    const auth = { jwksUrl: `${issuerServer.url}/jwks`, issuer, audience };
    const gateway = await startGateway(t, service.url, { consumers, auth });
    const call = async (claims: Record<string, unknown> | undefined, path: string) => {
      const token =
        claims &&
        (await new SignJWT(claims)
          .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
          .setSubject('ada')
          .setIssuer(issuer)
          .setAudience(audience)
          .setExpirationTime('5m')
          .sign(privateKey));
      const answer = await fetch(gateway.url + path, token ? { headers: { authorization: `Bearer ${token}` } } : {});
      return answer.status;
    };
    for (const path of ['dead-letters', 'dead-letters/1', 'offsets'].map((one) => `/api/ops/orders/${one}`)) {
      assert.equal(await call(undefined, path), 401);
      for (const claims of [
        {},
        { roles: ['viewer'] },
        { roles: 'operator' },
        { scope: 'operators' },
        { role: 'operator' },
      ])
        assert.equal(await call(claims, path), 403, JSON.stringify(claims));
      for (const claims of [{ roles: ['viewer', 'operator'] }, { scope: 'openid operator' }])
        assert.equal(await call(claims, path), 200, JSON.stringify(claims));
    }
    assert.equal(await call({}, '/api/orders'), 200, 'others need none');
  });

  it('are in the document once, with the service as a parameter', async (t) => {
    const upstream = await startUpstream(t, (_, response) => response.end());
    const gateway = await startGateway(t, upstream.url, { consumers });
    const document = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, { parameters: { name: string; schema: { enum: string[] } }[] }>>;
    };
    const paths = Object.keys(document.paths).filter((path) => path.startsWith('/api/ops/'));
    assert.equal(paths.length, 8);
    for (const path of paths) {
      const [operation] = Object.values(document.paths[path]!);
      const service = operation!.parameters.find(({ name }) => name === 'service');
      assert.deepEqual(service!.schema.enum, consumers, path);
    }
  });
});
