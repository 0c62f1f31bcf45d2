import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { pathOf } from '#runtime/objects.ts';
import type { KubeObject, ResourceType } from '#runtime/objects.ts';
import { configMaps } from '#runtime/testing/support.ts';
import type { ConfigMap } from '#runtime/testing/support.ts';
import { eventually } from '#test/eventually.ts';
import { request } from 'undici';
import type { TestNamespace } from '../cluster.ts';

const name = 'operator';
const rbac = new URL('../../../../charts/millrace-operator/files/rbac.yaml', import.meta.url);
const preloaded = new URL('./pod.mjs', import.meta.url);

const rbacType = (kind: string): ResourceType => ({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind,
  plural: `${kind.toLowerCase()}s`,
  namespaced: true,
});
const serviceAccounts: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  namespaced: true,
};

/**
 * What makes the operator take itself for a pod of the namespace, with the rights of the chart: with a kubeconfig it would need a
 * library, and the memory of that library.
 * @returns the variables of its environment, and what removes the files that they name
 */
export async function asPod({ api, connection, namespace }: TestNamespace) {
  const metadata = { namespace, name };
  await api.create<KubeObject>(serviceAccounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  const { rules, ownNamespaceRules } = parse(
    readFileSync(rbac, 'utf8').replaceAll('{{ .Release.Name }}', 'millrace-operator'),
  ) as {
    rules: object[];
    ownNamespaceRules: object[];
  };
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const role = { apiVersion, kind: 'Role', metadata, rules: [...rules, ...ownNamespaceRules] };
  await api.create<KubeObject>(rbacType('Role'), role);
  const binding = {
    apiVersion,
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  };
  await api.create<KubeObject>(rbacType('RoleBinding'), binding);
  const answer = await request(`${connection.server}${pathOf(serviceAccounts, namespace, name)}/token`, {
    method: 'POST',
    dispatcher: connection.requests,
    headers: { ...(await connection.headers()), 'content-type': 'application/json' },
    body: JSON.stringify({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 7_200 },
    }),
  });
  const { status } = (await answer.body.json()) as { status: { token: string } };
  const authority = await eventually(
    async () => (await api.get<ConfigMap>(configMaps, namespace, 'kube-root-ca.crt'))?.data?.['ca.crt'],
    'the namespace has the certificate of the API server',
  );
  const folder = mkdtempSync(join(tmpdir(), 'operator-account-'));
  const files = { token: status.token, 'ca.crt': authority, namespace };
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text, { mode: 0o600 });
  const { hostname, port } = new URL(connection.server);
  return {
    env: {
      KUBECONFIG: undefined,
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      NODE_OPTIONS: `--import=${preloaded.href}?account=${encodeURIComponent(folder)}`,
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}
