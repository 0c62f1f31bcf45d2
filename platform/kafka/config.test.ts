import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Type } from 'typebox';
import { strangersCertificate as certificate } from '#test/certificate.ts';
import { ConfigError, loadConfig } from '#platform/config';
import { saslMechanisms } from '#platform/declarations';
import { kafkaConfig, kafkaConnection } from './config.ts';

const KAFKA_BROKERS = 'a:9093,b:9093';
const read = (env: NodeJS.ProcessEnv) => kafkaConnection(loadConfig(Type.Object(kafkaConfig), { env, dirs: [] }));
const faults = (env: NodeJS.ProcessEnv): string => {
  try {
    read(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.join('\n');
  }
  return '';
};

describe("Kafka's settings", () => {
  it('are the brokers alone where nobody asks who connects', () => {
    assert.deepEqual(read({ KAFKA_BROKERS }), { brokers: ['a:9093', 'b:9093'] });
    assert.deepEqual(read({ KAFKA_BROKERS: '[fd00::1]:9093,b:9093' }).brokers, ['[fd00::1]:9093', 'b:9093']);
    for (const wrong of ['fd00::1:9093', '[fd00::1]', '[::x]:9093', 'b', 'b:9093,'])
      assert.match(faults({ KAFKA_BROKERS: wrong }), /^KAFKA_BROKERS /, wrong);
  });

  it('may have a user with a password, and certificates to trust', () => {
    const env = { KAFKA_BROKERS, KAFKA_SASL_USERNAME: 'orders', KAFKA_SASL_PASSWORD: 'sesame' };
    const connection = {
      brokers: ['a:9093', 'b:9093'],
      sasl: { mechanism: 'SCRAM-SHA-512', username: 'orders', password: 'sesame' },
    };
    assert.deepEqual(read(env), connection);
    for (const ca of [certificate, `# two of them\n${certificate}\n${certificate}`]) {
      assert.deepEqual(read({ ...env, KAFKA_SSL_CA: ca }), { ...connection, tls: { ca } });
    }
  });

  it('may have another way to say who connects, and trust those that Node knows', () => {
    const env = { KAFKA_BROKERS, KAFKA_SASL_USERNAME: 'orders', KAFKA_SASL_PASSWORD: 'sesame' };
    for (const mechanism of saslMechanisms)
      assert.equal(read({ ...env, KAFKA_SASL_MECHANISM: mechanism }).sasl?.mechanism, mechanism);
    assert.match(faults({ ...env, KAFKA_SASL_MECHANISM: 'GSSAPI' }), /KAFKA_SASL_MECHANISM .*one of PLAIN, SCRAM/);
    assert.deepEqual(read({ ...env, KAFKA_SSL: 'true' }).tls, {});
    assert.equal(read({ ...env, KAFKA_SSL: 'false' }).tls, undefined);
  });

  it('may have a compression that Kafka knows', () => {
    assert.equal(read({ KAFKA_BROKERS, KAFKA_COMPRESSION: 'zstd' }).compression, 'zstd');
    assert.match(faults({ KAFKA_BROKERS, KAFKA_COMPRESSION: 'rar' }), /KAFKA_COMPRESSION .*one of none, gzip/);
  });

  it('read a user and a password that are renewed while the process runs, and know both before they are mounted', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-user-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const { sasl } = read({
      KAFKA_BROKERS,
      KAFKA_SASL_USERNAME: 'key-1',
      KAFKA_SASL_PASSWORD: 'secret-1',
      KAFKA_SASL_USERNAME_FILE: join(folder, 'username'),
      KAFKA_SASL_PASSWORD_FILE: join(folder, 'password'),
    });
    const known = () => [sasl!.username, sasl!.password];
    assert.deepEqual(known(), ['key-1', 'secret-1']);
    for (const renewed of ['2', '3']) {
      writeFileSync(join(folder, 'username'), `key-${renewed}`);
      writeFileSync(join(folder, 'password'), `secret-${renewed}`);
      assert.deepEqual(known(), [`key-${renewed}`, `secret-${renewed}`]);
    }
  });

  it('have both of a user and a password, or none', () => {
    const half = { KAFKA_BROKERS, KAFKA_SASL_USERNAME: 'orders' };
    assert.equal(faults(half), 'KAFKA_SASL_PASSWORD is missing (KAFKA_SASL_USERNAME needs it)');
    const secret = faults({ KAFKA_BROKERS, KAFKA_SASL_PASSWORD: 'sesame' });
    assert.equal(secret, 'KAFKA_SASL_USERNAME is missing (KAFKA_SASL_PASSWORD needs it)');
  });

  it('refuse certificates that nobody could be trusted by', () => {
    const spoilt = certificate.replace('MII', 'NII');
    for (const ca of ['/etc/ca.crt', 'yes', spoilt, certificate + spoilt]) {
      assert.match(faults({ KAFKA_BROKERS, KAFKA_SSL_CA: ca }), /^KAFKA_SSL_CA must be certificates in PEM/);
    }
  });
});
