import { badRequest } from '#platform/http';

/** Characters that nobody sees, and those that only turn the direction of a text. */
const invisible = /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]/u;

/**
 * A username in its one spelling, so that no two users have names that look the same because of how they are encoded: composed (NFC), as
 * RFC 8265 has it for usernames.
 * @throws Problem 400 if it has invisible characters
 */
export function canonicalUsername(username: string): string {
  if (invisible.test(username))
    throw badRequest('The username has characters that nobody sees', [
      { field: 'username', message: 'must have visible characters only' },
    ]);
  return username.normalize('NFC');
}
