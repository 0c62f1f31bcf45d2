import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';

import { PlatformError } from '#platform/errors';

/** What pg connects with. */
interface ConnectionSettings {
  connectionString: string;
  ssl?: ConnectionOptions | false;
}

/** Certificates and a key (PEM) in place of the files that a URL names. */
export interface Certificates {
  /** of those who may sign the server's; without the file `sslrootcert`, too, those that Node knows */
  ca?: string | undefined;
  /** of the client, where the server requires one */
  cert?: string | undefined;
  /** what belongs to `cert` */
  key?: string | undefined;
}

const parameters = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const;

/**
 * What pg connects with for a connection string of libpq. pg itself reads `require` as `verify-full`, and takes the name of the
 * certificate for `localhost` where the host is an address.
 * @param certificates by default what is in the files `sslrootcert`, `sslcert` and `sslkey`
 * @throws ERR_DATABASE_URL if `sslmode` has another value than disable, require, verify-ca and verify-full
 * @throws an error of Node if a file cannot be read, or the key is not that of the client's certificate
 * @see https://www.postgresql.org/docs/18/libpq-ssl.html
 */
export function connectionOf(url: string, certificates: Certificates = {}): ConnectionSettings {
  if (!URL.canParse(url)) return { connectionString: url };
  const address = new URL(url);
  const host = address.hostname.replace(/^\[(.*)\]$/, '$1');
  // pg would look up the name [::1]
  if (host !== address.hostname) address.searchParams.set('host', host);
  const [mode, rootFile, certificateFile, keyFile] = parameters.map(
    (name) => address.searchParams.get(name) ?? undefined,
  );
  if (mode === undefined) return { connectionString: host === address.hostname ? url : address.href };
  for (const name of parameters) address.searchParams.delete(name);
  const connectionString = address.href;
  if (mode === 'disable') return { connectionString, ssl: false };
  const ca = certificates.ca ?? contentOf(rootFile);
  const cert = certificates.cert ?? contentOf(certificateFile);
  const key = certificates.key ?? contentOf(keyFile);
  // two files are not replaced at the same time: better to fail here than in the middle of a handshake
  if (cert !== undefined && key !== undefined) createSecureContext({ cert, key });
  const ssl: ConnectionOptions = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(isIP(host) === 0 ? {} : { host }),
  };
  return { connectionString, ssl: { ...ssl, ...checksOf(mode, ca !== undefined) } };
}

const contentOf = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file, 'utf8'));

/** A host as a URL has it: an address of IPv6 in brackets. */
export const urlHost = (host: string): string => (isIP(host) === 6 ? `[${host}]` : host);

const anyName: ConnectionOptions = { checkServerIdentity: () => undefined };

/** Which of the server's certificate is checked: its name, who signed it, or nothing. */
function checksOf(mode: string, hasRoot: boolean): ConnectionOptions {
  if (mode === 'verify-full') return {};
  if (mode === 'verify-ca') return anyName;
  // as libpq does: who has certificates to check with wants them checked
  if (mode === 'require') return hasRoot ? anyName : { rejectUnauthorized: false };
  throw new PlatformError(
    'ERR_DATABASE_URL',
    `sslmode=${mode} is not supported: use disable, require, verify-ca or verify-full`,
  );
}
