import { nothing, Skipped, type Undo } from '../../chaos/faults/fault.ts';
import type { PlannedFault } from '../../chaos/plan.ts';
import { apply, kubectl, kubectlIn, namespace, operatorNamespace, output } from '../platform/cluster.ts';
import { podsOf } from '../platform/installed.ts';
import type { ClusterFaultKind } from './draws.ts';

type Inject = (fault: PlannedFault<ClusterFaultKind>) => Promise<Undo>;

const places: Record<string, { in: string; selector: string }> = {
  kafka: { in: namespace!, selector: 'strimzi.io/kind=Kafka' },
  operator: { in: operatorNamespace, selector: 'app.kubernetes.io/name=millrace-operator' },
};
const placeOf = (target: string) => places[target] ?? { in: namespace!, selector: podsOf(target) };

async function podsAt(target: string): Promise<string[]> {
  const { in: where, selector } = placeOf(target);
  const names = await kubectlIn(where, 'get', 'pods', `--selector=${selector}`, '--output=name');
  const pods = names.split('\n').filter((name) => name !== '');
  if (pods.length === 0) throw new Skipped(`${target} has no pod now`);
  return pods;
}

/** Kills pods. A disk must not get a second server while the first one ends, so that those of a set end by themselves, at once. */
async function kill(target: string, pods: string[]): Promise<Undo> {
  const hasDisk = target === 'postgresql' || target === 'kafka';
  const how = hasDisk ? ['--grace-period=1'] : ['--grace-period=0', '--force'];
  await kubectlIn(placeOf(target).in, 'delete', ...pods, ...how, '--wait=false');
  return nothing;
}

const pick = (pods: readonly string[], choice: number): string => pods[Math.floor(choice * pods.length)]!;

const killPod: Inject = async ({ target, choice }) => kill(target, [pick(await podsAt(target), choice)]);
const killAll: Inject = async ({ target }) => kill(target, await podsAt(target));

const rollout: Inject = async ({ target }) => {
  await kubectl('rollout', 'restart', `deployment/${target}`);
  return nothing;
};

/**
 * Drains a node of the platform's pods, within their disruption budgets, until the undo. Where it is the only one, the evicted
 * pods wait for its return.
 */
const drain: Inject = async ({ seconds, choice }) => {
  const nodes = (await output('kubectl', ['get', 'nodes', '--output=name'])).trim().split('\n');
  const node = pick(nodes, choice).replace('node/', '');
  const undo = async () => void (await output('kubectl', ['uncordon', node]));
  // the mail catcher has the only copy of the mails
  const selector = '--pod-selector=app.kubernetes.io/instance=millrace,app.kubernetes.io/name!=mail-catcher';
  const how = ['--ignore-daemonsets', '--delete-emptydir-data', `--timeout=${seconds}s`];
  await output('kubectl', ['cordon', node]);
  // a budget that holds it up for longer than the fault lasts is right
  void output('kubectl', ['drain', node, selector, ...how]).catch(() => undefined);
  return undo;
};

/** Whether policies are enforced here; asked once. */
let enforced: Promise<boolean> | undefined;

/** Nobody may call orders from users. */
async function areEnforced(): Promise<boolean> {
  const script = `fetch('http://orders:8082/livez', { signal: AbortSignal.timeout(3000) }).then(() => console.log('reached'), () => console.log('refused'))`;
  const said = await kubectl('exec', 'deployment/users', '-c', 'users', '--', 'node', '-e', script);
  return said.trim() === 'refused';
}

/** The fields of a policy that a person has written. */
interface Policy {
  metadata: { name: string; labels?: object; annotations?: object };
  spec: object;
}

/**
 * Takes the policy of an edge away: what is not allowed is denied. Open connections may stay, so that one pod of the service is
 * replaced, too.
 */
const deny: Inject = async ({ target, choice }) => {
  enforced ??= areEnforced();
  if (!(await enforced)) throw new Skipped('the network of this cluster does not enforce policies');
  const found = await kubectl('get', 'networkpolicy', target, '--ignore-not-found', '--output=json');
  if (found === '') throw new Skipped(`the platform is installed without the policy ${target}`);
  const { metadata, spec } = JSON.parse(found) as Policy;
  const { name, labels, annotations } = metadata;
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, labels, annotations },
    spec,
  };
  const undo = async () => void (await apply(policy));
  try {
    await kubectl('delete', 'networkpolicy', target);
    const service = target.split('-to-')[0]!;
    await kill(service, [pick(await podsAt(service), choice)]);
  } catch (error) {
    await undo();
    throw error;
  }
  return undo;
};

/** How each kind of fault is caused in a cluster. */
export const clusterInjections: Record<ClusterFaultKind, Inject> = {
  'kill-pod': killPod,
  'kill-all': killAll,
  rollout,
  drain,
  deny,
};
