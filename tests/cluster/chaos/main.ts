// Breaks an installed platform in its cluster at random, as a seed says, and compares what is left: docs/reliability.md.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { describeError, Fault } from '#local/fault.ts';
import { listenForStop } from '#local/signals.ts';
import { insist, Skipped, type Undo } from '../../chaos/faults/fault.ts';
import { commandFor, parseChaosOptions, type ChaosCommand } from '../../chaos/options.ts';
import { describeResult, isSound, summarize, type SeedResult } from '../../chaos/report.ts';
import { apply, field, kubectl, namespace, rolledOut, withoutPlatform } from '../platform/cluster.ts';
import { clusterDraws, type ClusterFaultKind } from './draws.ts';
import { clusterInjections } from './faults.ts';
import type { FromAgent, Task, ToAgent } from './messages.ts';
import { agentFile, chaosObjects, chaosPod } from './pod.ts';

const command: ChaosCommand<ClusterFaultKind> = {
  name: 'npm run chaos:cluster',
  kinds: Object.keys(clusterDraws) as ClusterFaultKind[],
};
const say = (line: string): void => console.log(line);
const undoMs = 30_000;

/** A Kafka of Strimzi, as far as it says how to connect. */
interface KafkaCluster {
  metadata: { name: string };
  status: { listeners: { bootstrapServers: string; certificates?: string[] }[] };
}

/** Puts the agent's pod beside the platform. */
async function prepare(): Promise<void> {
  await rolledOut();
  const image = await field('deployment/orders', '.spec.template.spec.containers[0].image');
  const { items } = JSON.parse(await kubectl('get', 'kafka', '--output=json')) as { items: KafkaCluster[] };
  const [kafka] = items;
  const listener = kafka?.status.listeners[0];
  if (!listener) throw new Fault('The platform has no Kafka of Strimzi that is ready.');
  const { name } = kafka!.metadata;
  const ca = listener.certificates ? `${name}-cluster-ca-cert` : undefined;
  const objects = chaosObjects({ image, kafka: name, bootstrap: listener.bootstrapServers, ca });
  await forget();
  for (const object of objects) await apply(object);
  await kubectl('wait', '--for=condition=Ready', 'kafkauser/chaos', '--timeout=60s');
  await kubectl('wait', '--for=condition=Ready', `pod/${chaosPod}`, '--timeout=60s');
}

async function forget(): Promise<void> {
  await kubectl('delete', 'pod,configmap,networkpolicy,kafkauser', chaosPod, '--ignore-not-found');
}

/** Lets the agent run a seed, and causes the faults that it asks for. */
async function runSeed(task: Task, running: Map<number, Undo>, signal: AbortSignal): Promise<SeedResult> {
  const args = ['exec', '--stdin', chaosPod, '--', 'node', '--no-warnings', agentFile, JSON.stringify(task)];
  const agent = spawn('kubectl', ['--namespace', namespace!, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(agent, 'close') as Promise<[number | null]>;
  signal.addEventListener('abort', () => agent.kill(), { once: true });
  agent.stdin.on('error', () => undefined);
  const answer = (line: ToAgent): void => void agent.stdin.write(`${JSON.stringify(line)}\n`);
  let result: SeedResult | undefined;
  for await (const line of createInterface({ input: agent.stdout })) {
    const message = JSON.parse(line) as FromAgent;
    if ('say' in message) say(message.say);
    else if ('result' in message) result = message.result;
    else
      void perform(message, running).then(
        () => answer({ id: message.id }),
        (error: Error) => answer({ id: message.id, error: error.message, skipped: error instanceof Skipped }),
      );
  }
  const [code] = await ended;
  signal.throwIfAborted();
  if (!result) throw new Fault(`The agent in the pod ended without a result (exit code ${code}).`);
  return result;
}

async function perform(message: Extract<FromAgent, { id: number }>, running: Map<number, Undo>): Promise<void> {
  if ('cause' in message) {
    running.set(message.id, await clusterInjections[message.cause.kind](message.cause));
    return;
  }
  await running.get(message.end)?.();
  running.delete(message.end);
}

async function main(args: string[], signal: AbortSignal): Promise<boolean> {
  if (withoutPlatform !== false) throw new Fault(`There is no platform to break: ${withoutPlatform}.`);
  const options = parseChaosOptions(command, args, Date.now() % 1_000_000);
  const { seeds, seed: first, minutes, kinds } = options;
  const results: SeedResult[] = [];
  const running = new Map<number, Undo>();
  try {
    await prepare();
    for (let seed = first; seed < first + seeds && !signal.aborted; seed++) {
      say(`seed ${seed}: in the namespace ${namespace}`);
      const result = await runSeed({ seed, minutes, kinds, prefix: Date.now().toString(36) }, running, signal);
      results.push(result);
      for (const line of describeResult(result, commandFor(command, seed, options))) say(line);
    }
  } finally {
    for (const undo of running.values()) await insist(undo, undoMs);
    if (!options.keep) await forget();
  }
  say(JSON.stringify(summarize(results)));
  return results.every(isSound);
}

const requests = listenForStop();
const stopping = new AbortController();
void requests.first.then((reason) => stopping.abort(new Fault(`stopped (${reason})`)));
try {
  process.exitCode = (await main(process.argv.slice(2), stopping.signal)) ? 0 : 1;
} catch (error) {
  console.error(describeError(error));
  process.exitCode = stopping.signal.aborted ? 130 : 1;
} finally {
  requests.release();
}
