import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Api } from './api.ts';
import { inClusterConnection, kubeconfigConnection } from './connection.ts';
import { ApiError } from './errors.ts';
import { configMaps } from './testing/support.ts';

describe('a connection', () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'connection-'));
  });
  after(() => rmSync(dir, { recursive: true }));

  it('is that of the pod, with its token', async () => {
    for (const [file, text] of Object.entries({ token: 'secret\n', namespace: 'home', 'ca.crt': '' }))
      writeFileSync(join(dir, file), text);
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    const connection = inClusterConnection(env, dir);
    assert.equal(connection.server, 'https://[fd00::1]:443');
    assert.equal(connection.namespace, 'home');
    assert.deepEqual(await connection.headers(), { authorization: 'Bearer secret' });
    await connection.close();
  });

  it('says so where there is none', () => {
    assert.throws(() => inClusterConnection({}, dir), /there is no cluster/);
  });

  it('is that of the current context of a kubeconfig, and says how an answer failed', async () => {
    const seen: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(403).end('<html>a proxy says no</html>');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const file = join(dir, 'kubeconfig');
    writeFileSync(
      file,
      `{"clusters": [{"name": "c", "cluster": {"server": "${url}", "insecure-skip-tls-verify": true}}],
        "users": [{"name": "u", "user": {"token": "abc"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "n"}}], "current-context": "x"}`,
    );
    const connection = await kubeconfigConnection(file);
    assert.equal(connection.namespace, 'n');
    await assert.rejects(new Api(connection).get(configMaps, 'n', 'x'), (error) => {
      assert.ok(error instanceof ApiError);
      assert.equal(error.status, 403);
      assert.match(error.message, /a proxy says no/);
      return true;
    });
    assert.deepEqual(seen, ['Bearer abc']);
    await connection.close();
    server.close();
  });
});
