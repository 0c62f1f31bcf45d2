import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

import { PlatformError } from '#platform/errors';

/** What pg connects with. */
interface ConnectionSettings {
  connectionString: string;
  ssl?: ConnectionOptions | false;
}

const parameters = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const;

/**
 * What pg connects with for a connection string of libpq. pg itself reads `require` as `verify-full`, and takes the name of the
 * certificate for `localhost` where the host is an address.
 * @param ca the certificates (PEM) of those who may sign the server's; by default those in the file `sslrootcert`, else Node's
 * @throws ERR_DATABASE_URL if `sslmode` has another value than disable, require, verify-ca and verify-full
 * @see https://www.postgresql.org/docs/18/libpq-ssl.html
 */
export function connectionOf(url: string, ca?: string): ConnectionSettings {
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
  const root = ca ?? (rootFile === undefined ? undefined : readFileSync(rootFile, 'utf8'));
  const ssl: ConnectionOptions = {
    ...(root === undefined ? {} : { ca: root }),
    ...(certificateFile === undefined ? {} : { cert: readFileSync(certificateFile, 'utf8') }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile, 'utf8') }),
    ...(isIP(host) === 0 ? {} : { host }),
  };
  return { connectionString, ssl: { ...ssl, ...checksOf(mode, root !== undefined) } };
}

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
