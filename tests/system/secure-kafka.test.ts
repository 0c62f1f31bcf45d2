import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { saslMechanisms } from '#platform/declarations';
import { Type } from 'typebox';
import { loadConfig } from '#platform/config';
import { createKafka, kafkaConfig, kafkaConnection } from '#platform/kafka';
import type { KafkaConnection } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { createLogger } from '#platform/telemetry';
import { useKafkaOf } from '#local/kafka-external.ts';
import { strangersCertificate } from '#test/certificate.ts';
import { startSecureKafka } from '#test/secure-kafka.ts';
import type { SecureKafka } from '#test/secure-kafka.ts';
import { noOwnBroker } from '#test/own-broker.ts';
import { allowSeconds } from '#test/time-limit.ts';
import { testKafkaRights } from '../../operators/millrace/testing/kafka-rights.ts';

allowSeconds(300); // it starts a broker of its own

const log = createLogger('tests', 'silent');
const sasl = { username: 'millrace', password: 'open-sesame' };
const others: Parameters<typeof testKafkaRights>[1] = [
  { username: 'of-orders', password: 'sesame-1' },
  { username: 'of-users', password: 'sesame-2' },
];

describe('a Kafka with authentication', { skip: noOwnBroker ?? false }, () => {
  let broker: SecureKafka;
  before(async () => {
    broker = await startSecureKafka(sasl, others);
  });
  after(() => broker.stop());

  const connect = (connection: KafkaConnection) => createKafka({ ...connection, clientId: 'tests', log });

  for (const way of ['scram', 'tls'] as const) {
    it(`serves authenticated clients: topics, sends and groups (${way})`, async () => {
      const kafka = connect(broker[way]);
      await kafka.admin.ensureTopics([{ name: way, partitions: 1, retentionMs: -1 }]);
      const received: string[] = [];
      const consumer = kafka.consumer({
        group: way,
        topics: [way],
        from: 'earliest',
        onBatch: ({ messages }) => {
          received.push(...messages.map(({ value }) => String(value)));
          return Promise.resolve(true);
        },
      });
      consumer.start();
      const producer = await kafka.producer();
      await producer.send(way, 0, [{ key: 'k', value: Buffer.from('for friends'), headers: {} }]);
      await eventually(() => received.includes('for friends'), 'the message');
      await kafka.close();
    });
  }

  for (const mechanism of saslMechanisms)
    it(`knows users by ${mechanism}`, async () => {
      const kafka = connect({ ...broker.tls, sasl: { ...sasl, mechanism } });
      await kafka.check();
      await kafka.close();
      const message = await refused({ ...broker.tls, sasl: { ...sasl, mechanism, password: 'guessed' } });
      assert.match(message, /authentication failed/i);
      assert.doesNotMatch(message, /guessed/);
    });

  it('is not trusted by a client that trusts those that Node knows', async () => {
    assert.match(await refused({ ...broker.tls, tls: {} }), /self-signed certificate/);
  });

  const refused = async (connection: KafkaConnection): Promise<string> => {
    const kafka = connect(connection);
    const error: unknown = await kafka.check().catch((reason: unknown) => reason);
    await kafka.close();
    assert.ok(error instanceof Error);
    return error.message;
  };

  it('refuses a wrong password, which no message contains', async () => {
    const message = await refused({ ...broker.scram, sasl: { ...sasl, password: 'guessed' } });
    assert.match(message, /authentication failed/i);
    assert.doesNotMatch(message, /guessed/);
  });

  it('takes a client whose username, password and authorities are renewed while it runs', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const { brokers, tls } = broker.tls;
    const env = {
      KAFKA_BROKERS: brokers.join(','),
      KAFKA_SASL_USERNAME: 'who-was-before',
      KAFKA_SASL_USERNAME_FILE: join(folder, 'username'),
      KAFKA_SASL_PASSWORD: 'of-before',
      KAFKA_SASL_PASSWORD_FILE: join(folder, 'password'),
      KAFKA_SSL_CA: strangersCertificate,
      KAFKA_SSL_CA_DIR: folder,
    };
    const kafka = connect(kafkaConnection(loadConfig(Type.Object(kafkaConfig), { env, dirs: [] })));
    t.after(() => kafka.close());
    await assert.rejects(kafka.check(), /certificate/i);
    writeFileSync(join(folder, 'ca.crt'), tls.ca!);
    await assert.rejects(kafka.check(), /authentication failed/i);
    writeFileSync(join(folder, 'username'), sasl.username);
    writeFileSync(join(folder, 'password'), sasl.password);
    await kafka.check();
    await kafka.admin.ensureTopics([{ name: 'renewed', partitions: 1, retentionMs: -1 }]);
    const producer = await kafka.producer();
    await producer.send('renewed', 0, [{ key: 'k', value: Buffer.from('with the new ones'), headers: {} }]);
  });

  it('refuses clients without authentication', async () => {
    const { brokers } = broker.scram;
    assert.match(await refused({ brokers }), /no Kafka broker answers/);
  });

  it('is refused if its certificate is not trusted, or has another name', async () => {
    assert.match(await refused({ ...broker.tls, tls: { ca: strangersCertificate } }), /certificate/i);
    const byAddress = broker.tls.brokers.map((address) => address.replace('localhost', '127.0.0.1'));
    assert.match(await refused({ ...broker.tls, brokers: byAddress }), /certificate|altnames/i);
  });

  testKafkaRights(() => broker.tls, others);

  it('is used by npm start with its settings', async () => {
    const { brokers, tls } = broker.tls;
    const env = {
      KAFKA_BROKERS: brokers.join(','),
      KAFKA_SASL_USERNAME: sasl.username,
      KAFKA_SASL_PASSWORD: sasl.password,
      KAFKA_SSL_CA: tls.ca!,
    };
    const known = { ...broker.tls, sasl: { mechanism: 'SCRAM-SHA-512', ...sasl } };
    assert.deepEqual((await useKafkaOf(env)).connection, known);
    const { KAFKA_SASL_PASSWORD: _, ...half } = env;
    await assert.rejects(useKafkaOf(half), /KAFKA_SASL_PASSWORD is missing \(KAFKA_SASL_USERNAME needs it\)/);
    await assert.rejects(useKafkaOf({ ...env, KAFKA_SASL_PASSWORD: 'guessed' }), (error: Error) => {
      assert.match(error.message, /No Kafka answers at KAFKA_BROKERS .*authentication failed/i);
      assert.doesNotMatch(error.message, /guessed/);
      return true;
    });
  });
});
