import type { Certificates } from '#platform/postgres';
import type { Api } from '#runtime/api.ts';
import type { EventService } from '../api/event-service.ts';
import { caKey, certKey, keyKey, readSecret } from '../database-pools.ts';

type Tls = NonNullable<NonNullable<EventService['spec']['postgresql']>['tls']>;

/** Where pods mount the certificates of `spec.postgresql.tls`, in the Job and in the chart. The URLs of databases name the files. */
export const caFolder = '/etc/postgresql-ca';
export const clientFolder = '/etc/postgresql-client';

/** The mounts and the volumes of a pod that connects with these certificates. */
export function certificateMounts(tls: Tls | undefined) {
  const mounted = [
    { name: 'postgresql-ca', secret: tls?.caSecretRef, folder: caFolder, keys: [caKey] },
    { name: 'postgresql-client', secret: tls?.clientCertSecretRef, folder: clientFolder, keys: [certKey, keyKey] },
  ].filter(({ secret }) => secret !== undefined);
  return {
    volumeMounts: mounted.map(({ name, folder }) => ({ name, mountPath: folder, readOnly: true })),
    volumes: mounted.map(({ name, secret, keys }) => ({
      name,
      secret: { secretName: secret!.name, items: keys.map((key) => ({ key, path: key })) },
    })),
  };
}

/** What the operator itself connects with. @returns in `missing` a sentence where a Secret has not what it should */
export async function readCertificates(
  api: Api,
  namespace: string,
  tls: Tls | undefined,
  signal: AbortSignal,
): Promise<{ certificates: Certificates; missing?: string }> {
  const secretOf = async (ref: { name: string } | undefined) =>
    ref && ((await readSecret(api, namespace, ref.name, signal)) ?? {});
  const [authority, client] = [await secretOf(tls?.caSecretRef), await secretOf(tls?.clientCertSecretRef)];
  const certificates = { ca: authority?.[caKey], cert: client?.[certKey], key: client?.[keyKey] };
  const sentence = (name: string, keys: string) => `the Secret ${name} does not exist, or has no ${keys}`;
  if (authority && !certificates.ca) return { certificates, missing: sentence(tls!.caSecretRef!.name, caKey) };
  if (client && !(certificates.cert && certificates.key))
    return { certificates, missing: sentence(tls!.clientCertSecretRef!.name, `${certKey} and ${keyKey}`) };
  return { certificates };
}
