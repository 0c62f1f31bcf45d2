import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError } from '#platform/config';
import { loadSettings } from './config.ts';

describe('the settings of notifications', () => {
  const needed = { PORT: '8083', KAFKA_BROKERS: 'a:9092', DATABASE_URL: 'postgres://db/x', SMTP_URL: 'smtp://mail' };
  const load = (days: number, hours: number) =>
    loadSettings({
      env: { ...needed, NOTIFICATION_RETENTION_DAYS: String(days), MAIL_MAX_AGE_HOURS: String(hours) },
    });

  it('keep the notification of each event that can still be sent', () => {
    loadSettings({ env: needed });
    for (const [days, hours] of [
      [1, 24],
      [3, 72],
      [36_500, 100_000],
    ] as const)
      load(days, hours);
  });

  it('are refused where it is deleted before: the event, read again, would be another mail', () => {
    for (const [days, hours, fault] of [
      [1, 72, /^NOTIFICATION_RETENTION_DAYS must be at least 3, or MAIL_MAX_AGE_HOURS at most 24: /],
      [3, 73, /^NOTIFICATION_RETENTION_DAYS must be at least 4, or MAIL_MAX_AGE_HOURS at most 72: /],
    ] as const)
      assert.throws(
        () => load(days, hours),
        (error: unknown) => {
          assert.ok(error instanceof ConfigError);
          assert.match(error.faults.join(), fault);
          return true;
        },
      );
  });
});
