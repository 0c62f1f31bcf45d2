import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of users. */
export const usersErrors = {
  ERR_USERS_TAKEN: {
    means: 'Another user has the username or the e-mail.',
    action: 'Nothing: the client gets 409 and chooses another.',
  },
} as const satisfies ErrorCatalogue;

/** An error of users. */
export class UsersError extends CodedError<keyof typeof usersErrors> {
  override name = 'UsersError';
}
