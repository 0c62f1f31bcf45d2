import type { IncomingMessage } from 'node:http';
import type { JWTPayload, JWTVerifyGetKey } from 'jose';
import { Problem, unavailable } from '#platform/http';

export interface AuthOptions {
  /** where the issuer publishes its keys (RFC 7517) */
  jwksUrl: string;
  issuer: string;
  audience: string;
  /** for an issuer whose access tokens are ID tokens, as Dex's */
  acceptIdTokens?: boolean | undefined;
}

/** Whose token it is. */
export interface Principal {
  subject: string;
  /** from the claim `roles`, an array, or `scope`, separated by blanks (RFC 8693) */
  roles: ReadonlySet<string>;
  /** until when the token is accepted, in milliseconds since 1970 */
  expiresAt: number;
}

/** @throws Problem 401, or 503 while the issuer's keys cannot be fetched */
export type Authenticate = (request: IncomingMessage) => Promise<Principal>;

/** Signatures that need a private key: shared secrets and `none` are refused. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

/** how far the clocks of the issuer and the gateway may differ */
const toleranceSeconds = 5;

/** Types of the head of access tokens: that of RFC 9068, the usual one, or none. Tokens of a logout, an event or a proof have others. */
const accessTypes = new Set<unknown>([undefined, 'jwt', 'at+jwt', 'application/at+jwt']);
/** Values of the claims in which Keycloak (`typ`) and Cognito (`token_use`) tell what a token is for. */
const accessUses = new Set<unknown>([undefined, 'Bearer', 'access']);
/** Claims of ID tokens (OpenID Connect Core, 2, 3.1.3.6 and 3.3.2.11). Some issuers write `nonce` into access tokens, too. */
const idClaims = ['nonce', 'at_hash', 'c_hash', 's_hash'];

/** A check of bearer tokens (RFC 6750, RFC 7519). It loads the library here, so that a gateway without authentication does not load it. */
export async function createAuthenticate({
  jwksUrl,
  issuer,
  audience,
  acceptIdTokens = false,
}: AuthOptions): Promise<Authenticate> {
  const { createRemoteJWKSet, jwtVerify, errors } = await import('jose');
  const keys: JWTVerifyGetKey = createRemoteJWKSet(new URL(jwksUrl), {
    timeoutDuration: 3_000,
    cooldownDuration: 5_000,
  });

  return async (request) => {
    const token = /^Bearer +([\w~+/.-]+=*)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) throw unauthorized('A bearer token is required');
    try {
      const { payload, protectedHeader } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: toleranceSeconds,
      });
      if (!acceptIdTokens && !isAccessToken(payload, protectedHeader.typ))
        throw unauthorized('This is no access token', 'invalid_token');
      const { sub = '', exp = 0 } = payload;
      if (sub.trim() === '' || !sub.isWellFormed()) throw unauthorized('The token names nobody', 'invalid_token');
      return { subject: sub, roles: rolesOf(payload), expiresAt: (exp + toleranceSeconds) * 1_000 };
    } catch (error) {
      if (error instanceof Problem) throw error;
      if (error instanceof errors.JWTExpired) throw tokenExpired(error);
      if (error instanceof errors.JWTClaimValidationFailed) {
        throw unauthorized(`The token does not match this API: its claim ${error.claim}`, 'invalid_token', error);
      }
      if (isUnreachable(error)) throw unavailable("The issuer's keys cannot be fetched", 5, error);
      throw unauthorized('The token is not valid', 'invalid_token', error);
    }
  };

  /** The key set could not be read: a fault of the network or the issuer, not of the token. */
  function isUnreachable(error: unknown): boolean {
    if (!(error instanceof errors.JOSEError)) return true;
    return (
      error instanceof errors.JWKSTimeout || error.code === 'ERR_JOSE_GENERIC' || error instanceof errors.JWKSInvalid
    );
  }
}

/** Whether a token gives access to an API; ID tokens and those of a logout (their claim is `events`, RFC 8417) tell something else. */
function isAccessToken(payload: JWTPayload, type: unknown): boolean {
  const ofHead = typeof type === 'string' ? type.toLowerCase() : type;
  const { typ, token_use: use, scope, scp } = payload;
  if (!accessTypes.has(ofHead) || !accessUses.has(typ) || !accessUses.has(use) || 'events' in payload) return false;
  const isSaid = ofHead?.toString().endsWith('at+jwt') === true || (typ ?? use ?? scope ?? scp) !== undefined;
  return isSaid || !idClaims.some((claim) => claim in payload);
}

function rolesOf({ roles, scope }: JWTPayload): Set<string> {
  const list: unknown[] = Array.isArray(roles) ? roles : [];
  const scopes = typeof scope === 'string' ? scope.split(' ') : [];
  return new Set([...list.filter((role) => typeof role === 'string'), ...scopes]);
}

export const tokenExpired = (cause?: unknown): Problem => unauthorized('The token has expired', 'invalid_token', cause);

function unauthorized(detail: string, error?: string, cause?: unknown): Problem {
  const challenge = error === undefined ? 'Bearer' : `Bearer error="${error}", error_description="${detail}"`;
  return new Problem(401, { detail, headers: { 'WWW-Authenticate': challenge }, cause });
}
