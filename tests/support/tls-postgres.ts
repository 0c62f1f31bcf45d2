import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { serverAccount } from '#local/postgres-account.ts';
import { forgetPostgres, startPostgres } from '#local/postgres.ts';
import { withClient } from '#platform/postgres';
import { eventually } from './eventually.ts';
import { freePort } from './ports.ts';

/** Who has signed the server's certificate. Valid for a hundred years; the key is deleted. */
const authority = `-----BEGIN CERTIFICATE-----
MIIBiDCCAS6gAwIBAgITBQJyAu2N2Z3/F5R9JmmB+8umJDAKBggqhkjOPQQDAjAZ
MRcwFQYDVQQDDA50ZXN0IGF1dGhvcml0eTAgFw0yNjExMjkxMDUxNTRaGA8yMTI2
MTEwNTEwNTE1NFowGTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwWTATBgcqhkjO
PQIBBggqhkjOPQMBBwNCAAROIbRhnc1s9ROLxkmnyrQq1uL1WDuKHR6tLtQsG9CM
qlMs5bq4T+YLH3JOEV/iVvNccu59Tx2hg/2/GQBgHQOro1MwUTAdBgNVHQ4EFgQU
0I2zmofa+5CkD9Vrxq0cmtPwcpgwHwYDVR0jBBgwFoAU0I2zmofa+5CkD9Vrxq0c
mtPwcpgwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBEBqh1TfG6
DqaLIj7Su0XcXLZZZF4RKB26MGE7rLgIgAIhAP0WXziQWxCrSMHGG3sF0WJS6eyP
2HKYWzIaVE+mqWEl
-----END CERTIFICATE-----
`;
/** For localhost and 127.0.0.1. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBkDCCATWgAwIBAgIUSoayLWHi4tITa8yB8NliCVRerr0wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTI5MTA1MzAwWhgPMjEy
NjExMDUxMDUzMDBaMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMGByqGSM49AgEG
CCqGSM49AwEHA0IABEHN1AYnc2kMcBF+dHlgUcsj2RxLEfid4wF9B0ioiJZVD/2n
V1YjAckwHtvU7lb8LEP9EIqgT8Nv4jgfxpsV06mjXjBcMBoGA1UdEQQTMBGCCWxv
Y2FsaG9zdIcEfwAAATAdBgNVHQ4EFgQUlPEO9LUWbQToj4Yhpih0yamOtPQwHwYD
VR0jBBgwFoAU0I2zmofa+5CkD9Vrxq0cmtPwcpgwCgYIKoZIzj0EAwIDSQAwRgIh
AMaI809rQ+uuN8X8q6DCAJDz7732EI1YU0nBNeWl4LcKAiEA+1WLuwiZxJbWY52U
wR6yw5MR9IIO9PLEuPy0uuAjiSk=
-----END CERTIFICATE-----
`;
/** Protects nothing but the servers of tests. */
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcerKX2INaBHa5G4o
Cg6arHqKlHUViaRcvri8O3itm3ihRANCAARBzdQGJ3NpDHARfnR5YFHLI9kcSxH4
neMBfQdIqIiWVQ/9p1dWIwHJMB7b1O5W/CxD/RCKoE/Db+I4H8abFdOp
-----END PRIVATE KEY-----
`;

/** Who has signed the certificate of the clients. The key is deleted. */
const clientAuthority = `-----BEGIN CERTIFICATE-----
MIIBljCCAT2gAwIBAgIUbE4kh2KagprOJXcyanTnEHMv8MIwCgYIKoZIzj0EAwIw
IDEeMBwGA1UEAwwVdGVzdCBjbGllbnQgYXV0aG9yaXR5MCAXDTI2MTEyOTIxMzg1
N1oYDzIxMjYxMTA1MjEzODU3WjAgMR4wHAYDVQQDDBV0ZXN0IGNsaWVudCBhdXRo
b3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ8xEwBKWK9PLCE1VDqk1y5
hycK5PaJXZ6o20zc3qvi0k9YgKGDxiiKqJeQ4+m9E3qRwUSrN1NqPLULEK38hyBd
o1MwUTAdBgNVHQ4EFgQUJ/Zisj+JLYOj63cqYL93LGj01i8wHwYDVR0jBBgwFoAU
J/Zisj+JLYOj63cqYL93LGj01i8wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQD
AgNHADBEAiAmF8csh2JWyLiiNJmIGP5VJskIzdrhw8LetnpCQW1c5gIgdzc3UQdc
zmZmkRi5QEnTC5Duj4V3mVmLNpk5eY/0HHM=
-----END CERTIFICATE-----
`;
/** Of CN=millrace, whatever the role is. It opens nothing but the servers of tests. */
const known = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBjjCCATSgAwIBAgIUbxqAiMFlE25yIbdYDuaCHYDl2bQwCgYIKoZIzj0EAwIw
IDEeMBwGA1UEAwwVdGVzdCBjbGllbnQgYXV0aG9yaXR5MCAXDTI2MTEyOTIxMzg1
N1oYDzIxMjYxMTA1MjEzODU3WjATMREwDwYDVQQDDAhtaWxscmFjZTBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABB4/D+vAKB4/77rck0sxmL/ezk5CAG9ILwOgFJnL
5LdDy9n94PLer+t0ctz7Wyx+Cp8FATaAiHk7a9kJMZalzfGjVzBVMBMGA1UdJQQM
MAoGCCsGAQUFBwMCMB0GA1UdDgQWBBSF1Pj2+qJS0pFA9NoR/6qUXWzQsjAfBgNV
HSMEGDAWgBQn9mKyP4ktg6Prdypgv3csaPTWLzAKBggqhkjOPQQDAgNIADBFAiBh
gK8+3cbpNjKP8QHBwkmhT7NNJGd4E8f+ykQkanHkXwIhALzpd2U8tUtY0GlJuN71
5FAo4qOOYhwc8xndv+b8OwPK
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgmY+I7VVBGF71SEq2
HjC1jiX0WL+pgpL6y6+2YOsnX8KhRANCAAQePw/rwCgeP++63JNLMZi/3s5OQgBv
SC8DoBSZy+S3Q8vZ/eDy3q/rdHLc+1ssfgqfBQE2gIh5O2vZCTGWpc3x
-----END PRIVATE KEY-----
`,
};

/** Roles whose names begin so need a client's certificate besides their password. */
export const certified = 'certified_';

/** A separate PostgreSQL of a test that takes connections with TLS only. */
export interface TlsPostgres {
  /** of the superuser, without an `sslmode` */
  url: string;
  /** the certificate (PEM) of who has signed the server's, and a file with it */
  ca: string;
  caFile: string;
  /** what a role that begins with `certified` shows (PEM) */
  client: { cert: string; key: string };
  stop(): Promise<void>;
}

/** Starts a PostgreSQL whose pg_hba.conf has `hostssl` alone. */
export async function startTlsPostgres(): Promise<TlsPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-postgres-'));
  const account = serverAccount();
  const own = (name: string, text: string, mode = 0o600): string => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode });
    if (account.uid !== undefined && account.gid !== undefined) chownSync(file, account.uid, account.gid);
    return file;
  };
  if (account.uid !== undefined && account.gid !== undefined) chownSync(folder, account.uid, account.gid);
  const caFile = own('ca.crt', authority, 0o644);
  // startPostgres asks without TLS whether the server answers
  const rules = own('pg_hba.conf', 'host all all all scram-sha-256\n');
  const server = await startPostgres({
    folder,
    port: await freePort(),
    settings: {
      listen_addresses: '127.0.0.1,127.0.0.2,::1',
      ssl: 'on',
      ssl_cert_file: own('server.crt', certificate),
      ssl_key_file: own('server.key', key),
      ssl_ca_file: own('client-ca.crt', clientAuthority),
      hba_file: rules,
      fsync: 'off',
    },
  });
  const withCertificate = `hostssl all /^${certified} all scram-sha-256 clientcert=verify-ca`;
  writeFileSync(rules, `${withCertificate}\nhostssl all all all scram-sha-256\n`);
  await withClient(server.url, (client) => client.query('SELECT pg_reload_conf()'));
  const isRefused = () => withClient(server.url, () => Promise.resolve(false)).catch(() => true);
  await eventually(isRefused, 'connections without TLS are refused');
  return {
    url: server.url,
    ca: authority,
    caFile,
    client: known,
    stop: async () => {
      await server.stop();
      await forgetPostgres({ folder });
      rmSync(folder, { recursive: true });
    },
  };
}
