import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of notifications. */
export const notificationsErrors = {
  ERR_MAIL_ADDRESS: {
    means: 'An address is not valid in the header of a mail.',
    action: 'Nothing: the service gives up the mail with this reason. The user must change the address.',
  },
  ERR_MAIL_CONNECTION_LOST: {
    means: 'The SMTP server has closed a connection in use.',
    action: 'Nothing: the service tries again.',
  },
  ERR_MAIL_NOT_RECORDED: {
    means: 'The results of mails have waited for 15 seconds: another session of PostgreSQL holds their rows.',
    action:
      'Look at the oldest `xact_start` in `pg_stat_activity`, and end that session. The service keeps the results meanwhile, and sends other mails.',
  },
  ERR_MAIL_NOT_SENT: {
    means: 'No mail could be sent for 15 seconds, or the server refuses all of them; the message has the first reason.',
    action: 'Check SMTP_URL and the server, or the database. Mails wait in the database meanwhile.',
  },
  ERR_MAIL_REFUSED: {
    means: 'The SMTP server did not accept a mail.',
    action:
      'See `last_error` of the notification. Unless the refusal is about the recipient, the service tries again: for about two ' +
      'days if the server takes other mails meanwhile, and for as long as it takes if the server takes none.',
  },
  ERR_MAIL_UNAVAILABLE: {
    means: 'The SMTP server cannot be used.',
    action: 'Check SMTP_URL and the server. Mails wait in the database meanwhile.',
  },
} as const satisfies ErrorCatalogue;

/** An error of notifications. */
export class NotificationsError extends CodedError<keyof typeof notificationsErrors> {
  override name = 'NotificationsError';
}
