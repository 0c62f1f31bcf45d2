import { setTimeout } from 'node:timers/promises';

import { kubectl } from './kubectl.ts';

export interface PodMemory {
  where: string;
  pod: string;
  mib: number;
}

/** The memory of each running pod of every namespace, after metrics-server has measured all of them. */
export async function memoryByPod(): Promise<PodMemory[]> {
  const everywhere = ['--all-namespaces', '--no-headers'];
  for (;;) {
    const running = (await kubectl('get', 'pods', '--field-selector=status.phase=Running', ...everywhere)).trim();
    const measured = (await kubectl('top', 'pods', ...everywhere)).trim();
    const rows = measured
      .split('\n')
      .map((line) => line.split(/\s+/))
      .map(([where = '', pod = '', , memory = '0']) => ({ where, pod, mib: Number.parseInt(memory) }));
    const isMeasured = (line: string) =>
      rows.some(({ where, pod }) => line.startsWith(where) && line.includes(` ${pod} `));
    if (running.split('\n').every(isMeasured)) return rows;
    await setTimeout(2_000);
  }
}

/** What the pods of a component have used. */
export interface Usage {
  pods: number;
  /** processor time since the pods began, in seconds */
  cpuSeconds: number;
  mib: number;
}

/** A node's summary as its kubelet gives it, as far as it is read here. */
interface Summary {
  pods: {
    podRef: { name: string; namespace: string };
    cpu?: { usageCoreNanoSeconds?: number };
    memory?: { workingSetBytes?: number };
  }[];
}

/** What the pods of a namespace have used, by their label `app.kubernetes.io/name`; the kubelets of all nodes say so. */
export async function usageByComponent(namespace: string): Promise<Map<string, Usage>> {
  const nodes = (await kubectl('get', 'nodes', '--output=jsonpath={.items[*].metadata.name}')).split(' ');
  const summaries = await Promise.all(
    nodes.map(async (node) => JSON.parse(await kubectl('get', '--raw', `/api/v1/nodes/${node}/proxy/stats/summary`)) as Summary), // prettier-ignore
  );
  const { items } = JSON.parse(await kubectl('get', 'pods', `--namespace=${namespace}`, '--output=json')) as {
    items: { metadata: { name: string; labels?: Record<string, string> } }[];
  };
  const components = new Map(
    items.map(({ metadata: { name, labels = {} } }) => [name, labels['app.kubernetes.io/name'] ?? name]),
  );
  const sums = new Map<string, Usage>();
  for (const { podRef, cpu, memory } of summaries.flatMap(({ pods }) => pods)) {
    const component = podRef.namespace === namespace ? components.get(podRef.name) : undefined;
    if (component === undefined) continue;
    const { pods, cpuSeconds, mib } = sums.get(component) ?? { pods: 0, cpuSeconds: 0, mib: 0 };
    sums.set(component, {
      pods: pods + 1,
      cpuSeconds: cpuSeconds + (cpu?.usageCoreNanoSeconds ?? 0) / 1e9,
      mib: mib + (memory?.workingSetBytes ?? 0) / 2 ** 20,
    });
  }
  return sums;
}
