import { X509Certificate } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { brokersPattern, saslMechanisms } from '#platform/declarations';
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
  pattern: brokersPattern,
  description: 'host:port, several separated by commas',
};

/** How a service connects to Kafka: as nobody or as a user, over TLS or not. */
export const kafkaConfig = {
  KAFKA_BROKERS: Type.String(brokers),
  KAFKA_SASL_USERNAME: Type.Optional(Type.String({ needs: ['KAFKA_SASL_PASSWORD'] })),
  KAFKA_SASL_PASSWORD: Type.Optional(Type.String({ needs: ['KAFKA_SASL_USERNAME'] })),
  KAFKA_SASL_MECHANISM: Type.Enum([...saslMechanisms], { default: 'SCRAM-SHA-512' }),
  // TLS with the authorities that Node knows; certificates in KAFKA_SSL_CA replace these
  KAFKA_SSL: Type.Boolean({ default: false }),
  KAFKA_SSL_CA: Type.Optional(
    Type.Refine(Type.String(), isPem, () => 'must be certificates in PEM, not the name of a file'),
  ),
  // the same as mounted Secrets, which may be renewed: they are read at each new connection, and win where they are there
  KAFKA_SASL_USERNAME_FILE: Type.Optional(Type.String({ needs: ['KAFKA_SASL_USERNAME'], description: 'a file' })),
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
  const { KAFKA_BROKERS, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = config;
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SSL, KAFKA_SSL_CA: ca, KAFKA_COMPRESSION: compression } = config;
  const { KAFKA_SASL_USERNAME_FILE, KAFKA_SASL_PASSWORD_FILE, KAFKA_SSL_CA_DIR: folder } = config;
  const files = { username: KAFKA_SASL_USERNAME_FILE, password: KAFKA_SASL_PASSWORD_FILE };
  return {
    brokers: KAFKA_BROKERS.split(','),
    ...(username !== undefined && password !== undefined && { sasl: saslOf({ mechanism, username, password }, files) }),
    ...((KAFKA_SSL || ca !== undefined) && { tls: ca === undefined ? {} : tlsOf(ca, folder) }),
    ...(compression !== undefined && { compression }),
  };
}

type Sasl = NonNullable<KafkaConnection['sasl']>;

function saslOf(known: Sasl, files: Record<'username' | 'password', string | undefined>): Sasl {
  const read = (key: 'username' | 'password') => {
    const file = files[key];
    return (file === undefined ? undefined : textOf(() => readFileSync(file, 'utf8'))) ?? known[key];
  };
  return {
    ...known,
    get username() {
      return read('username');
    },
    get password() {
      return read('password');
    },
  };
}

function tlsOf(ca: string, folder: string | undefined): NonNullable<KafkaConnection['tls']> {
  if (folder === undefined) return { ca };
  return {
    get ca() {
      return authoritiesIn(folder) ?? ca;
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
