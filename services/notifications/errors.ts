import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of notifications. */
export const notificationsErrors = {
  ERR_MAIL_ADDRESS: {
    means: 'An address cannot be used in the header of a mail.',
    action: 'Nothing: the mail is given up with this reason. The user has to change the address.',
  },
  ERR_MAIL_CONNECTION_LOST: {
    means: 'The SMTP server has closed a connection in the middle of something.',
    action: 'Nothing: it is tried again.',
  },
  ERR_MAIL_REFUSED: {
    means: 'The SMTP server did not take a mail.',
    action: 'See `last_error` of the notification. A refusal for now is tried again for about three hours.',
  },
  ERR_MAIL_UNAVAILABLE: {
    means: 'The SMTP server cannot be used.',
    action: 'See SMTP_URL and the server. Mails wait in the database meanwhile.',
  },
} as const satisfies ErrorCatalogue;

/** An error of notifications. */
export class NotificationsError extends CodedError<keyof typeof notificationsErrors> {
  override name = 'NotificationsError';
}
