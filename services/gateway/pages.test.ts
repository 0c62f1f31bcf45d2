import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { contracts, startGateway } from './testing.ts';

describe('pages', () => {
  it('have strict headers and load only their own assets', async (t) => {
    const { url } = await startGateway(t, 'http://127.0.0.1:9');
    for (const path of ['/', '/docs']) {
      const response = await fetch(url + path);
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type') ?? '', /^text\/html/);
      const policy = response.headers.get('content-security-policy') ?? '';
      assert.match(policy, /default-src 'none'/);
      assert.doesNotMatch(policy, /unsafe|\*|https?:/);
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      const html = await response.text();
      const links = [...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, link]) => link!);
      assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/, 'inline code or style');
      for (const link of links) {
        assert.match(link, /^\//, `${path} refers to ${link}`);
        assert.equal((await fetch(url + link)).status, 200, link);
      }
    }
  });

  it('are cached by the browser until they change', async (t) => {
    const { url } = await startGateway(t, 'http://127.0.0.1:9');
    const page = await fetch(`${url}/`);
    assert.equal(page.headers.get('cache-control'), 'no-cache');
    const etag = page.headers.get('etag')!;
    assert.equal((await fetch(`${url}/`, { headers: { 'if-none-match': etag } })).status, 304);
    const asset = /href="(\/assets\/[0-9a-f]+\/[\w.-]+\.css)"/.exec(await page.text())![1]!;
    const loaded = await fetch(url + asset, { headers: { 'accept-encoding': 'gzip, br' } });
    assert.equal(loaded.headers.get('content-encoding'), 'br');
    assert.equal(loaded.headers.get('cache-control'), 'public, max-age=31536000, immutable');
    const other = await fetch(url + asset.replace(/\/assets\/[0-9a-f]+\//, '/assets/another/'));
    assert.deepEqual([other.status, other.headers.get('cache-control')], [200, 'no-cache']);
    assert.equal((await fetch(`${url}/assets/x/..%2f..%2fpackage.json`)).status, 404);
    const plain = await fetch(url + asset, { headers: { 'accept-encoding': 'br;q=0, gzip;q=0' } });
    assert.equal(plain.headers.get('content-encoding'), null);
  });

  it('include the documents of the API and of the events', async (t) => {
    const { url } = await startGateway(t, 'http://127.0.0.1:9');
    const api = (await (await fetch(`${url}/openapi.json`)).json()) as {
      openapi: string;
      paths: Record<string, object>;
    };
    assert.match(api.openapi, /^3\.1/);
    for (const { path, method } of contracts.operations)
      assert.ok(method in api.paths[`/api${path}`]!, `${method} ${path}`);
    const events = (await (await fetch(`${url}/asyncapi.json`)).json()) as { asyncapi: string };
    assert.match(events.asyncapi, /^3\./);
  });

  it('can be read, and nothing else', async (t) => {
    const { url } = await startGateway(t, 'http://127.0.0.1:9');
    for (const path of ['/', '/docs', '/openapi.json', '/settings.json', '/assets/x/app.js', '/health', '/metrics']) {
      const refused = await fetch(url + path, { method: 'POST' });
      assert.equal(refused.status, 405, path);
      assert.equal(refused.headers.get('allow'), 'GET, HEAD, OPTIONS');
      assert.match(refused.headers.get('content-type') ?? '', /^application\/problem\+json/);
      assert.equal((await fetch(url + path, { method: 'OPTIONS' })).status, 204, path);
    }
  });

  it('are served beside health and metrics', async (t) => {
    const { url } = await startGateway(t, 'http://127.0.0.1:9');
    await (await fetch(`${url}/api/orders/1`)).text();
    assert.equal((await fetch(`${url}/livez`)).status, 200);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.match(metrics, /millrace_gateway_circuit\{upstream="orders",state="closed"\} 1/);
    assert.match(
      metrics,
      /millrace_http_request_seconds_count\{method="GET",route="\/api\/orders\/\{id\}",status="503"\} \d/,
    );
    assert.match(metrics, /millrace_gateway_failed_total\{upstream="orders",code="ECONNREFUSED"\} \d/);
  });
});
