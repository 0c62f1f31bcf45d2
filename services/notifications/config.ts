import { Type } from 'typebox';
import type { Static } from 'typebox';
import { ConfigError, commonConfig, loadConfig, url } from '#platform/config';
import type { ConfigSource } from '#platform/config';
import { kafkaConfig } from '#platform/kafka';

const configSchema = Type.Object({
  ...commonConfig,
  ...kafkaConfig,
  DATABASE_URL: url('postgres', 'postgresql'),
  DATABASE_POOL_SIZE: Type.Integer({ minimum: 2, maximum: 200, default: 6 }),
  SMTP_URL: url('smtp', 'smtps'),
  SMTP_CONNECTIONS: Type.Integer({ minimum: 1, maximum: 100, default: 6, description: 'concurrent mails' }),
  MAIL_FROM: Type.String({
    default: 'millrace@example.com',
    pattern: '^[^\\s<>@,;:"\\\\]+@[A-Za-z0-9.-]+$',
    description: "the sender's e-mail address",
  }),
  MAIL_MAX_AGE_HOURS: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    default: 72,
    description: 'events older than this are recorded but not sent; a mail whose user is not known waits this long',
  }),
  NOTIFICATION_RETENTION_DAYS: Type.Integer({
    minimum: 1,
    maximum: 36_500,
    default: 90,
    description: 'notifications are deleted after this time',
  }),
});

/**
 * The settings of the notifications service.
 * @throws ConfigError with every fault
 */
export function loadSettings(source: ConfigSource = {}): Static<typeof configSchema> {
  const config = loadConfig(configSchema, source);
  const { MAIL_MAX_AGE_HOURS: hours, NOTIFICATION_RETENTION_DAYS: days } = config;
  // the notification of an event is what keeps a repetition from being sent as another mail
  if (days * 24 < hours)
    throw new ConfigError([
      `NOTIFICATION_RETENTION_DAYS must be at least ${Math.ceil(hours / 24)}, or MAIL_MAX_AGE_HOURS at most ${days * 24}: an event that is ` +
        'read again after its notification is deleted would be sent again',
    ]);
  return config;
}
