import { Type } from 'typebox';
import { commonConfig, url } from '#platform/config';
import { kafkaConfig } from '#platform/kafka';

/** The settings of the __name__ service. */
export const configSchema = Type.Object({
  ...commonConfig,
  ...kafkaConfig,
  DATABASE_URL: url('postgres', 'postgresql'),
  DATABASE_POOL_SIZE: Type.Integer({ minimum: 2, maximum: 200, default: 6 }),
});
