import { usernameLength } from '#contracts/users.ts';
import { badRequest } from '#platform/http';

/** Characters that nobody sees, those that only turn the direction of a text, and blanks that look like others. */
const invisible =
  /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cc}\p{Zl}\p{Zp}\u2800\ufff9-\ufffb]|(?! )\p{Zs}/u;

/** Whether a username that the contract takes is in its one spelling. */
export function isCanonical(username: string): boolean {
  return !invisible.test(username) && username.normalize('NFC') === username;
}

/**
 * A username in its one spelling, so that no two users have names that look the same because of how they are encoded: composed (NFC), as
 * RFC 8265 has it for usernames.
 * @throws Problem 400 if it has invisible characters, or becomes too short or too long
 */
export function canonicalUsername(username: string): string {
  if (invisible.test(username))
    throw badRequest('The username has characters that nobody sees', [
      { field: 'username', message: 'must have visible characters only' },
    ]);
  const canonical = username.normalize('NFC');
  // it can be longer or shorter than what was sent
  const [shortest, longest] = usernameLength;
  const length = Array.from(canonical).length;
  if (length < shortest || length > longest)
    throw badRequest(`The username has ${length} characters in composed form (NFC)`, [
      { field: 'username', message: `must have ${shortest} to ${longest} characters in composed form (NFC)` },
    ]);
  return canonical;
}
