import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Type } from 'typebox';
import { ConfigError, commonConfig, loadConfig, url } from './config.ts';
import { kafkaConfig } from '#platform/kafka';

const schema = Type.Object({
  ...commonConfig,
  ...kafkaConfig,
  DATABASE_URL: url('postgres', 'postgresql'),
});
const good = { PORT: '8080', KAFKA_BROKERS: 'a:9092,b:9092', DATABASE_URL: 'postgres://u:secret@db/x' };

test('text becomes what the schema says, and defaults fill in', () => {
  const config = loadConfig(schema, { env: good });
  assert.equal(config.PORT, 8080);
  assert.equal(config.LOG_LEVEL, 'info');
  assert.equal(config.SHUTDOWN_GRACE_MS, 25_000);
});

test('every fault is listed, with what would be right, and no value is shown', () => {
  const env = { PORT: 'http', KAFKA_BROKERS: 'nowhere', LOG_LEVEL: 'loud', SHUTDOWN_GRACE_MS: '-5' };
  assert.throws(
    () => loadConfig(schema, { env }),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError);
      const text = error.faults.join('\n');
      assert.match(text, /DATABASE_URL is missing \(postgres or postgresql URL\)/);
      assert.match(text, /PORT must be integer/);
      assert.match(text, /KAFKA_BROKERS .*\(host:port, several separated by commas\)/);
      assert.match(text, /LOG_LEVEL .*\(one of trace, debug/);
      assert.match(text, /SHUTDOWN_GRACE_MS must be >= 0/);
      assert.equal(error.faults.length, 5);
      assert.doesNotMatch(text, /nowhere|loud/);
      return true;
    },
  );
});

test('a setting that needs another is a fault without it', () => {
  const pair = Type.Object({ A: Type.Optional(Type.String({ needs: ['B'] })), B: Type.Optional(Type.String()) });
  const faults = (env: NodeJS.ProcessEnv) => {
    try {
      loadConfig(pair, { env });
      return [];
    } catch (error) {
      return (error as ConfigError).faults;
    }
  };
  assert.deepEqual(faults({ A: 'a' }), ['B is missing (A needs it)']);
  for (const env of [{}, { B: 'b' }, { A: 'a', B: 'b' }, { A: '' }]) assert.deepEqual(faults(env), []);
});

test('mounted files are read as Kubernetes writes them, and the environment wins', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-config-'));
  t.after(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, '..data'));
  writeFileSync(join(dir, 'PORT'), '9090\n');
  writeFileSync(join(dir, 'LOG_LEVEL'), 'warn');
  const { PORT: _, ...rest } = good;
  const config = loadConfig(schema, { env: { ...rest, LOG_LEVEL: 'debug', CONFIG_DIR: dir } });
  assert.equal(config.PORT, 9090);
  assert.equal(config.LOG_LEVEL, 'debug');
});

test('a folder that is not there is a fault like any other', () => {
  assert.throws(() => loadConfig(schema, { env: { ...good, CONFIG_DIR: '/does/not/exist' } }), /CONFIG_DIR: .*ENOENT/);
});
