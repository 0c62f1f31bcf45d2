import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { kubectlIn, operatorNamespace, operatorPods } from './cluster.ts';

const steadyMs = 60_000;
const settleMs = 15_000;

/** The counters of the operators' writes, without leases. */
async function writes(): Promise<string> {
  const pods = await operatorPods();
  const script = `fetch('http://localhost:8090/metrics').then((r) => r.text()).then(console.log)`;
  const metrics = await Promise.all(
    pods.map((pod) => kubectlIn(operatorNamespace, 'exec', pod, '--', 'node', '-e', script)),
  );
  const write = /^operator_api_requests_total\{verb="(create|update|apply|patch|delete)",resource="(?!leases)/;
  return metrics.flatMap((text) => text.split('\n').filter((line) => write.test(line))).join('\n');
}

/** Without events, the operator writes nothing. */
export function rest(): void {
  test(`the operator makes no write in ${steadyMs / 1000} s without events`, async () => {
    // rates cover the last minute: they settle after that
    let before: string | undefined;
    for (let settled = await writes(); settled !== before; settled = await writes()) {
      before = settled;
      await setTimeout(settleMs);
    }
    await setTimeout(steadyMs);
    assert.equal(await writes(), before);
  });
}
