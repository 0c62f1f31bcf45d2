import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { Client } from 'pg';

import { stranger } from '#test/certificate.ts';
import { connectionOf } from './connection.ts';

const url = 'postgresql://u:p%40ss@db:5432/orders';

test('a URL without an sslmode is passed on', () => {
  assert.deepEqual(connectionOf(url), { connectionString: url });
  assert.deepEqual(connectionOf('not a URL'), { connectionString: 'not a URL' });
  const { host } = new Client(connectionOf('postgresql://u:p@[fd00::1]:5432/d'));
  assert.equal(host, 'fd00::1', 'pg connects to an address of IPv6, and looks up no name with brackets');
});

test('the modes of libpq say what is checked of the server’s certificate', () => {
  const ssl = (mode: string, ca?: string) => connectionOf(`${url}?sslmode=${mode}&application_name=x`, { ca }).ssl;
  assert.equal(ssl('disable'), false);
  assert.deepEqual(ssl('require'), { rejectUnauthorized: false });
  assert.deepEqual(ssl('verify-full', 'PEM'), { ca: 'PEM' });
  for (const mode of ['require', 'verify-ca']) {
    const checked = ssl(mode, 'PEM') as { ca: string; checkServerIdentity: () => unknown };
    assert.equal(checked.ca, 'PEM');
    assert.equal(checked.checkServerIdentity(), undefined);
  }
  assert.equal(connectionOf(`${url}?sslmode=require&application_name=x`).connectionString, `${url}?application_name=x`);
  assert.throws(() => ssl('prefer'), { code: 'ERR_DATABASE_URL', message: /sslmode=prefer is not supported/ });
});

test('the name in the certificate is the host’s, if it is an address, too', () => {
  const at = (host: string) => connectionOf(`postgresql://u@${host}/d?sslmode=verify-full`).ssl;
  assert.deepEqual(at('db.example'), {});
  assert.deepEqual(at('10.1.2.3'), { host: '10.1.2.3' });
  assert.deepEqual(at('[fd00::1]'), { host: 'fd00::1' });
});

test('the certificate of the client goes with its key, or nowhere', () => {
  const { cert, key } = stranger;
  assert.deepEqual(connectionOf(`${url}?sslmode=verify-full`, { cert, key }).ssl, { cert, key });
  const another = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  });
  assert.throws(
    () => connectionOf(`${url}?sslmode=verify-full`, { cert, key: String(another) }),
    /key values mismatch/,
  );
});
