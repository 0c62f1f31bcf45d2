import { randomBytes } from 'node:crypto';
import { Api } from '#runtime/api.ts';
import { kubeconfigConnection } from '#runtime/connection.ts';
import type { Connection } from '#runtime/connection.ts';
import type { ResourceType } from '#runtime/objects.ts';

const kubeconfig = process.env['KUBECONFIG'];

/** Skips tests that need a cluster, with the reason. */
export const needsCluster = kubeconfig ? {} : { skip: 'KUBECONFIG is not set: there is no cluster' };

const namespaces: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
};

export interface TestNamespace {
  connection: Connection;
  api: Api;
  namespace: string;
  /** deletes the namespace with everything in it, and closes the connection */
  close(): Promise<void>;
}

/** A separate namespace of a test in the cluster of KUBECONFIG. */
export async function testNamespace(): Promise<TestNamespace> {
  const connection = await kubeconfigConnection(kubeconfig!.split(':')[0]!);
  const api = new Api(connection);
  const namespace = `op-test-${randomBytes(5).toString('hex')}`;
  await api.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  return {
    connection,
    api,
    namespace,
    async close() {
      await api.delete(namespaces, undefined, namespace);
      await connection.close();
    },
  };
}
