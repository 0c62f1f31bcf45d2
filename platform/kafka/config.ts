import { X509Certificate } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { KafkaConnection } from './port.ts';
import { compressionTypes } from './record/codecs.ts';

const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Whether the text has at least one valid certificate in PEM. Node accepts a text without one, and then trusts nobody. */
function isPem(text: string): boolean {
  const found = text.match(certificate) ?? [];
  try {
    return found.length > 0 && found.every((pem) => new X509Certificate(pem) instanceof X509Certificate);
  } catch {
    return false;
  }
}

const brokers = {
  pattern: '^[^\\s,:]+:[0-9]+(,[^\\s,:]+:[0-9]+)*$',
  description: 'host:port, several separated by commas',
};

/** How a service connects to Kafka: plain, with SCRAM-SHA-512, over TLS, or with both. */
export const kafkaConfig = {
  KAFKA_BROKERS: Type.String(brokers),
  KAFKA_SASL_USERNAME: Type.Optional(Type.String({ needs: ['KAFKA_SASL_PASSWORD'] })),
  KAFKA_SASL_PASSWORD: Type.Optional(Type.String({ needs: ['KAFKA_SASL_USERNAME'] })),
  KAFKA_SSL_CA: Type.Optional(
    Type.Refine(Type.String(), isPem, () => 'must be certificates in PEM, not the name of a file'),
  ),
  // the same as mounted Secrets, which may be renewed: they are read at each new connection, and win where they are there
  KAFKA_SASL_PASSWORD_FILE: Type.Optional(Type.String({ needs: ['KAFKA_SASL_PASSWORD'], description: 'a file' })),
  KAFKA_SSL_CA_DIR: Type.Optional(
    Type.String({ needs: ['KAFKA_SSL_CA'], description: 'a folder with certificates, in files that end with .crt' }),
  ),
  // what consumers do with a topic that was deleted and created again: nothing until somebody decides, or read it from its start
  KAFKA_RECREATED_TOPICS: Type.Enum(['refuse', 'restart'], { default: 'refuse' }),
  KAFKA_COMPRESSION: Type.Optional(Type.Enum([...compressionTypes])),
};

const schema = Type.Object(kafkaConfig);

/** The options of `createKafka` from these settings. */
export function kafkaConnection(config: Static<typeof schema>): KafkaConnection {
  const { KAFKA_BROKERS, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password, KAFKA_SSL_CA: ca } = config;
  const { KAFKA_COMPRESSION: compression, KAFKA_SASL_PASSWORD_FILE: file, KAFKA_SSL_CA_DIR: folder } = config;
  return {
    brokers: KAFKA_BROKERS.split(','),
    ...(username !== undefined && password !== undefined && { sasl: saslOf(username, password, file) }),
    ...(ca !== undefined && { ca }),
    ...(ca !== undefined && folder !== undefined && { freshCa: () => authoritiesIn(folder) ?? ca }),
    ...(compression !== undefined && { compression }),
  };
}

function saslOf(username: string, password: string, file: string | undefined): NonNullable<KafkaConnection['sasl']> {
  if (file === undefined) return { username, password };
  return {
    username,
    get password() {
      return textOf(() => readFileSync(file, 'utf8')) ?? password;
    },
  };
}

/** All of them: while an authority is replaced, brokers still have certificates of the old one. */
function authoritiesIn(folder: string): string | undefined {
  return textOf(() =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.crt'))
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .filter(isPem)
      .join('\n'),
  );
}

/** @returns undefined where there is none: a kubelet has not mounted it yet */
function textOf(read: () => string): string | undefined {
  try {
    return read() || undefined;
  } catch {
    return undefined;
  }
}
