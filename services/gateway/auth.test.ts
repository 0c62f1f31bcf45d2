import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { before, describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { Health } from '#platform/health';
import { createHttpServer } from '#platform/http';
import { eventually } from '#test/eventually.ts';
import { startGateway, startUpstream, unusedUrl } from './testing.ts';

const issuer = 'https://issuer.example';
const audience = 'millrace';

const token = (
  signer: CryptoKey,
  claims: { sub?: string; iss?: string; aud?: string; exp?: string | number; others?: Record<string, unknown> } = {},
  { kid = 'k1', typ }: { kid?: string; typ?: string } = {},
) =>
  new SignJWT(claims.others)
    .setProtectedHeader({ alg: 'ES256', kid, ...(typ !== undefined && { typ }) })
    .setSubject(claims.sub ?? 'ada')
    .setIssuer(claims.iss ?? issuer)
    .setAudience(claims.aud ?? audience)
    .setExpirationTime(claims.exp ?? '5m')
    .sign(signer);

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');

describe('authentication', () => {
  let key: CryptoKey;
  let stranger: CryptoKey;
  let jwk: JWK;

  before(async () => {
    const pair = await generateKeyPair('ES256');
    key = pair.privateKey;
    jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
    stranger = (await generateKeyPair('ES256')).privateKey;
  });

  /** An issuer that answers when it may. */
  async function startIssuer(t: TestContext, mayAnswer: () => Promise<void> = () => Promise.resolve()) {
    const { url } = await startUpstream(t, async (_, response) => {
      await mayAnswer();
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: [jwk] }));
    });
    return { jwksUrl: `${url}/jwks`, issuer, audience };
  }

  async function guarded(t: TestContext, { rateLimit = 0, acceptIdTokens = false } = {}) {
    const upstream = await startUpstream(t, (request, response) => response.end(request.headers.authorization ?? ''));
    const auth = { ...(await startIssuer(t)), acceptIdTokens };
    const gateway = await startGateway(t, upstream.url, { auth, rateLimit, consumers: ['orders'] });
    const call = (authorization?: string, path = '/api/orders') =>
      fetch(gateway.url + path, { headers: authorization === undefined ? {} : { authorization } });
    return { gateway, call };
  }

  it('accepts a valid token and passes it to the service', async (t) => {
    const { call } = await guarded(t);
    const bearer = `Bearer ${await token(key)}`;
    const response = await call(bearer);
    assert.deepEqual([response.status, await response.text()], [200, bearer]);
  });

  it('accepts the types of access tokens', async (t) => {
    const { call } = await guarded(t);
    for (const typ of ['JWT', 'jwt', 'at+jwt', 'application/at+jwt'])
      assert.equal((await call(`Bearer ${await token(key, {}, { typ })}`)).status, 200, typ);
    const written = { nonce: 'n', at_hash: 'h' }; // by some issuers into access tokens, too
    for (const others of [
      { typ: 'Bearer', ...written },
      { token_use: 'access' },
      { scope: 'orders', ...written },
      { scp: ['orders'], ...written },
    ])
      assert.equal((await call(`Bearer ${await token(key, { others })}`)).status, 200, JSON.stringify(others));
  });

  it('accepts ID tokens where that is set', async (t) => {
    const bearer = `Bearer ${await token(key, { others: { at_hash: 'h' } })}`;
    assert.equal((await (await guarded(t)).call(bearer)).status, 401);
    assert.equal((await (await guarded(t, { acceptIdTokens: true })).call(bearer)).status, 200);
  });

  it('ends a stream when its token expires', async (t) => {
    const upstream = await startUpstream(t, (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    });
    const auth = await startIssuer(t);
    const gateway = await startGateway(t, upstream.url, { auth });
    const exp = Math.floor(Date.now() / 1_000) - 3; // accepted for 5 s, as clocks differ
    const authorization = `Bearer ${await token(key, { exp })}`;
    const response = await fetch(`${gateway.url}/analytics/stream`, { headers: { authorization } });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '', 'it ends as a whole answer does');
    const late = Date.now() - exp * 1_000;
    assert.ok(late >= 5_000 && late < 20_000, `it ended ${late} ms after its token`);
  });

  it('begins nothing for a client that leaves before its token is known', async (t) => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const upstream = await startUpstream(t, (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    });
    const auth = await startIssuer(t, () => {
      asked.resolve();
      return answer.promise;
    });
    const gateway = await startGateway(t, upstream.url, { auth });
    const headers = { authorization: `Bearer ${await token(key)}` };
    const open = (signal?: AbortSignal) =>
      fetch(`${gateway.url}/analytics/stream`, { headers, ...(signal && { signal }) });
    const metrics = async () => (await fetch(`${gateway.url}/metrics`)).text();
    const leaving = new AbortController();
    // more than one client may have open
    const left = Promise.allSettled(Array.from({ length: 60 }, () => open(leaving.signal)));
    await asked.promise;
    leaving.abort();
    await left;
    const isSeen = async () => /\{method="GET",route="\/analytics\/stream",status="499"\} 60\n/.test(await metrics());
    await eventually(isSeen, 'the gateway knows that they have left');
    answer.resolve();
    const stay = new AbortController();
    t.after(() => stay.abort());
    await eventually(async () => (await open(stay.signal)).status === 200, 'it can open one');
  });

  it('tells the service whose token it is, and nobody else can', async (t) => {
    const upstream = await startUpstream(t, (request, response) => {
      response.end(request.headers['x-millrace-subject'] ?? 'nobody');
    });
    const open = await startGateway(t, upstream.url);
    const auth = await startIssuer(t);
    const guardedGateway = await startGateway(t, upstream.url, { auth });
    const subject = async (url: string, sub?: string) => {
      const authorization = sub === undefined ? undefined : `Bearer ${await token(key, { sub })}`;
      const headers = { 'x-millrace-subject': 'eve', ...(authorization && { authorization }) };
      const response = await fetch(`${url}/api/orders`, { headers });
      return response.status === 200 ? response.text() : response.status;
    };
    assert.equal(await subject(open.url), 'nobody');
    assert.equal(await subject(guardedGateway.url, 'ada'), 'ada');
    assert.equal(await subject(guardedGateway.url, 'Jürgen\r\nx: y'), 'J%C3%BCrgen%0D%0Ax%3A%20y');
    assert.equal(await subject(guardedGateway.url, ''), 401);
  });

  it('tells a service who it is, however long its name is', async (t) => {
    const service = createHttpServer(
      ({ headers }, response) => response.end(String(headers['x-millrace-subject']?.length)),
      new Health(),
    );
    t.after(() => service.close());
    const auth = await startIssuer(t);
    const gateway = await startGateway(t, `http://127.0.0.1:${await service.listen(0, '127.0.0.1')}`, { auth });
    const authorization = `Bearer ${await token(key, { sub: 'ü'.repeat(2_000) })}`;
    const response = await fetch(`${gateway.url}/api/orders`, { headers: { authorization } });
    assert.deepEqual([response.status, await response.text()], [200, '12000']);
  });

  it('refuses any other token with 401 and gives the reason', async (t) => {
    const { call } = await guarded(t);
    const claims = { sub: 'ada', iss: issuer, aud: audience, exp: Math.floor(Date.now() / 1000) + 300 };
    const unsigned = `${encode({ alg: 'none' })}.${encode(claims)}.`;
    const shared = `${encode({ alg: 'HS256', kid: 'k1' })}.${encode(claims)}`;
    const hmac = `${shared}.${createHmac('sha256', JSON.stringify(jwk)).update(shared).digest('base64url')}`;
    const cases: [string | undefined, RegExp][] = [
      [undefined, /required/],
      ['Basic YTpi', /required/],
      ['Bearer ', /required/],
      ['Bearer not-a-token', /not valid/],
      [`Bearer ${unsigned}`, /required|not valid/],
      [`Bearer ${unsigned}x`, /not valid/],
      [`Bearer ${hmac}`, /not valid/],
      [`Bearer ${await token(stranger)}`, /not valid/],
      [`Bearer ${await token(key, {}, { kid: 'k2' })}`, /not valid/],
      [`Bearer ${await token(key, { exp: Math.floor(Date.now() / 1000) - 60 })}`, /expired/],
      [`Bearer ${await token(key, { aud: 'another' })}`, /claim aud/],
      [`Bearer ${await token(key, { iss: 'https://another.example' })}`, /claim iss/],
    ];
    for (const typ of ['logout+jwt', 'secevent+jwt', 'dpop+jwt'])
      cases.push([`Bearer ${await token(key, {}, { typ })}`, /no access token/]);
    for (const others of [
      { nonce: 'n' },
      { at_hash: 'h' },
      { c_hash: 'h' },
      { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
      { typ: 'ID', scope: 'openid' },
      { typ: 'Refresh' },
      { token_use: 'id' },
    ])
      cases.push([`Bearer ${await token(key, { others }, { typ: 'JWT' })}`, /no access token/]);
    for (const [authorization, why] of cases) {
      const response = await call(authorization);
      assert.equal(response.status, 401, authorization);
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer/);
      assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
      assert.match(((await response.json()) as { detail: string }).detail, why, authorization);
    }
  });

  it('counts refused tokens to the limit of their address', async (t) => {
    const { call } = await guarded(t, { rateLimit: 2 });
    const bearer = `Bearer ${await token(key)}`;
    const statuses = [];
    for (let i = 0; i < 3; i += 1) statuses.push((await call('Bearer wrong')).status);
    assert.deepEqual(statuses, [401, 401, 429]);
    assert.equal((await call(bearer)).status, 200, 'a token has a limit of its own');
  });

  it('counts requests without the right to the limit of the subject', async (t) => {
    const { call } = await guarded(t, { rateLimit: 2 });
    const bearer = `Bearer ${await token(key)}`;
    const statuses = [];
    for (let i = 0; i < 3; i += 1) statuses.push((await call(bearer, '/api/ops/orders/dead-letters')).status);
    assert.deepEqual(statuses, [403, 403, 429]);
  });

  it('leaves health and documentation open', async (t) => {
    const { call } = await guarded(t);
    for (const path of ['/livez', '/readyz', '/', '/docs', '/openapi.json', '/metrics']) {
      assert.equal((await call(undefined, path)).status, 200, path);
    }
    assert.notEqual((await call(undefined, '/health')).status, 401);
    assert.equal(((await (await call(undefined, '/settings.json')).json()) as { auth: boolean }).auth, true);
  });

  it('is 503, not 401, while it cannot fetch the keys of the issuer', async (t) => {
    const { url } = await unusedUrl(t);
    const gateway = await startGateway(t, url, { auth: { jwksUrl: `${url}/jwks`, issuer, audience } });
    const response = await fetch(`${gateway.url}/api/orders`, {
      headers: { authorization: `Bearer ${await token(key)}` },
    });
    assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '5']);
  });
});
