import { messageOf } from '#platform/errors';
import { assertSession, connectionOf, isWrongPassword, urlHost, withConnection } from '#platform/postgres';
import type { Certificates, ClientBase } from '#platform/postgres';
import type { Clock } from '#runtime/clock.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import { ApiError } from '#runtime/errors.ts';
import { clusterHost } from '../database-pools.ts';
import type { Secret } from '../database-pools.ts';
import { OperatorError } from '../errors.ts';
import { SilentServers } from '../silent-servers.ts';

/** A server of PostgreSQL, and its role that creates roles and databases. */
export interface Server {
  /** what says so */
  secret: Secret;
  host: string;
  port: string;
  username: string;
  password: string;
  /** the one that takes its place; undefined while it is not rotated */
  nextPassword?: string | undefined;
  /** undefined: without TLS */
  tlsMode?: string | undefined;
  certificates?: Certificates;
  /** the Secret with the certificate and the key that clients show to it */
  clientSecret?: string | undefined;
}

/** The condition of a service whose databases are there. */
export const databasesReady = 'DatabasesReady';

/** Why databases cannot be created or dropped, as a condition. */
export class NotReady extends OperatorError {
  readonly condition: ConditionUpdate;

  constructor(reason: string, message: string, options?: ErrorOptions) {
    super('ERR_OPERATOR_POSTGRESQL', message, options);
    this.condition = { type: databasesReady, status: 'False', reason, message };
  }
}

/** How long a server may take until it accepts a connection, and to answer a statement, in milliseconds. */
const connectMs = 5_000;
const answerMs = 30_000;

/**
 * How long others may hold a lock, in milliseconds: less than an answer may take, as such a server is not silent. The server ends the
 * session, and with it the locks, of an operator that is gone without a word.
 */
const lockMs = 15_000;
const sessionSettings = `SET lock_timeout = ${lockMs}; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 5`;

type Work<T> = (client: ClientBase) => Promise<T>;

/** Connections to the servers of databases. */
export class DatabaseServers {
  readonly #silent: SilentServers;

  constructor(clock: Clock) {
    this.#silent = new SilentServers(clock);
  }

  /** Whether a server has not answered when it was asked last. */
  isSilent(server: Server, namespace: string): boolean {
    return this.#silent.isSilent(addressOf(server, namespace));
  }

  /** Runs `work` with a connection to a server. @throws NotReady where the server cannot be used, or refuses a statement */
  async with<T>(server: Server, namespace: string, work: Work<T>): Promise<T> {
    try {
      return await this.#silent.ask(addressOf(server, namespace), () => connect(server, namespace, work));
    } catch (error) {
      throw problemOf(error, server);
    }
  }
}

const addressOf = ({ host, port }: Server, namespace: string) => `${clusterHost(host, namespace)}:${port}`;

async function connect<T>(server: Server, namespace: string, work: Work<T>): Promise<T> {
  const { host, port, username, password, nextPassword, tlsMode, certificates } = server;
  const credentials = `${encodeURIComponent(username)}:${encodeURIComponent(password)}`;
  const url = new URL(`postgresql://${credentials}@${urlHost(clusterHost(host, namespace))}:${port}/postgres`);
  if (tlsMode !== undefined) url.searchParams.set('sslmode', tlsMode);
  const settings = { ...connectionOf(url.href, certificates), connectionTimeoutMillis: connectMs };
  const inSession = async (client: ClientBase) => {
    await assertSession(client, settings);
    await client.query(sessionSettings);
    return await work(client);
  };
  try {
    return await withConnection(settings, inSession, answerMs);
  } catch (error) {
    if (!isWrongPassword(error) || nextPassword === undefined) throw error;
    return await connect({ ...server, password: nextPassword, nextPassword: undefined }, namespace, work);
  }
}

/** The reason where no server answers. */
export const unavailable = 'PostgresqlUnavailable';

const rightMissing = '42501';
const lockNotAvailable = '55P03';

/** Node's codes of a certificate that it does not trust. */
const untrusted = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const codeOf = (error: unknown) => (error as { code?: string }).code ?? '';

/** What an error of a server means. @returns the error itself where it is none of PostgreSQL's */
function problemOf(error: unknown, { username, secret, host }: Server): unknown {
  if (error instanceof OperatorError || error instanceof ApiError) return error;
  const [code, said] = [codeOf(error), messageOf(error)];
  const options = { cause: error };
  const whose = `the user ${username} of the Secret ${secret.metadata.name}`;
  if (isWrongPassword(error))
    return new NotReady(
      'PostgresqlLoginRefused',
      `PostgreSQL refuses ${whose}: ${said}. Put its password into the Secret, or give it that of the Secret (docs/disaster.md)`,
      options,
    );
  if (code.startsWith('28') || /^ERR_SSL_.*_ALERT_/.test(code))
    return new NotReady('PostgresqlLoginRefused', `PostgreSQL refuses ${whose}: ${said}`, options);
  if (code === rightMissing)
    return new NotReady('PostgresqlRightMissing', `PostgreSQL does not let ${whose} do this: ${said}`, options);
  if (code === lockNotAvailable)
    return new NotReady(
      'PostgresqlLocked',
      `others, such as another operator, have kept locks of PostgreSQL for ${lockMs} ms: wait, or end the session that pg_locks shows`,
      options,
    );
  if (code === 'ERR_DATABASE_POOLER')
    return new NotReady('PostgresqlPooler', `${host} of the Secret ${secret.metadata.name}: ${said}`, options);
  if (untrusted.has(code))
    return new NotReady('PostgresqlUntrusted', `the certificate of ${host} is not trusted: ${said}`, options);
  return new NotReady(unavailable, said, options);
}
