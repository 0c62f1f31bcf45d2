import type { IncomingMessage } from 'node:http';
import type { JWTPayload, JWTVerifyGetKey } from 'jose';
import { Problem, unavailable } from '#platform/http';

export interface AuthOptions {
  /** where the issuer publishes its keys (RFC 7517) */
  jwksUrl: string;
  issuer: string;
  audience: string;
}

/** Whose token it is. */
export interface Principal {
  subject: string;
  /** from the claim `roles`, an array, or `scope`, separated by blanks (RFC 8693) */
  roles: ReadonlySet<string>;
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

/** A check of bearer tokens (RFC 6750, RFC 7519). It loads the library here, so that a gateway without authentication does not load it. */
export async function createAuthenticate({ jwksUrl, issuer, audience }: AuthOptions): Promise<Authenticate> {
  const { createRemoteJWKSet, jwtVerify, errors } = await import('jose');
  const keys: JWTVerifyGetKey = createRemoteJWKSet(new URL(jwksUrl), {
    timeoutDuration: 3_000,
    cooldownDuration: 5_000,
  });

  return async (request) => {
    const token = /^Bearer +([\w~+/.-]+=*)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) throw unauthorized('A bearer token is required');
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: 5,
      });
      const { sub = '' } = payload;
      if (sub.trim() === '' || !sub.isWellFormed()) throw unauthorized('The token names nobody', 'invalid_token');
      return { subject: sub, roles: rolesOf(payload) };
    } catch (error) {
      if (error instanceof Problem) throw error;
      if (error instanceof errors.JWTExpired) throw unauthorized('The token has expired', 'invalid_token', error);
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

function rolesOf({ roles, scope }: JWTPayload): Set<string> {
  const list: unknown[] = Array.isArray(roles) ? roles : [];
  const scopes = typeof scope === 'string' ? scope.split(' ') : [];
  return new Set([...list.filter((role) => typeof role === 'string'), ...scopes]);
}

function unauthorized(detail: string, error?: string, cause?: unknown): Problem {
  const challenge = error === undefined ? 'Bearer' : `Bearer error="${error}", error_description="${detail}"`;
  return new Problem(401, { detail, headers: { 'WWW-Authenticate': challenge }, cause });
}
