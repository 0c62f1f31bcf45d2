import { Type } from 'typebox';
import { KafkaBrokers, commonConfig, url } from '#kit/config.ts';

/** The settings of the analytics service. */
export const configSchema = Type.Object({
  ...commonConfig,
  KAFKA_BROKERS: KafkaBrokers,
  DATABASE_URL: url('postgres', 'postgresql'),
  DATABASE_POOL_SIZE: Type.Integer({ minimum: 3, maximum: 200, default: 6 }),
});
