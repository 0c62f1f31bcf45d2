import { X509Certificate } from 'node:crypto';
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
  // what consumers do with a topic that was deleted and created again: nothing until somebody decides, or read it from its start
  KAFKA_RECREATED_TOPICS: Type.Enum(['refuse', 'restart'], { default: 'refuse' }),
  KAFKA_COMPRESSION: Type.Optional(Type.Enum([...compressionTypes])),
};

const schema = Type.Object(kafkaConfig);

/** The options of `createKafka` from these settings. */
export function kafkaConnection(config: Static<typeof schema>): KafkaConnection {
  const { KAFKA_BROKERS, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = config;
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SSL, KAFKA_SSL_CA: ca, KAFKA_COMPRESSION: compression } = config;
  return {
    brokers: KAFKA_BROKERS.split(','),
    ...(username !== undefined && password !== undefined && { sasl: { mechanism, username, password } }),
    ...((KAFKA_SSL || ca !== undefined) && { tls: ca === undefined ? {} : { ca } }),
    ...(compression !== undefined && { compression }),
  };
}
