import { Type } from 'typebox';
import { commonConfig, url } from '#platform/config';
import { kafkaConfig } from '#platform/kafka';

/** The settings of the orders service. */
export const configSchema = Type.Object({
  ...commonConfig,
  ...kafkaConfig,
  DATABASE_URL: url('postgres', 'postgresql'),
  READ_DATABASE_URL: url('postgres', 'postgresql'),
  /** connections to each of the two databases */
  DATABASE_POOL_SIZE: Type.Integer({ minimum: 3, maximum: 200, default: 6 }),
  USERS_URL: url('http', 'https'),
});
