import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { KubeObject } from '#runtime/objects.ts';
import { pods } from '../api/kinds.ts';
import { createWorld, namespace } from '../testing/world.ts';
import type { World } from '../testing/world.ts';
import { readAttempts } from './migration-pods.ts';
import { podsOf } from './migration.ts';

describe('the wait of a Job', () => {
  const never = new AbortController().signal;
  let world: World;
  before(async () => void (world = await createWorld()));
  after(() => world.stop());

  const container = (state: object, name = 'migrate') => ({ containerStatuses: [{ name, state }] });
  const pulling = container({ waiting: { reason: 'ImagePullBackOff', message: 'no such image' } });
  const running = { phase: 'Running', ...container({ running: {} }) };

  /** What a Job waits for that has pods of these statuses, and pods that are deleted. */
  async function waitOf(job: string, statuses: readonly object[], deleted: readonly object[] = []) {
    const [key = '', value = ''] = podsOf(job).split('=');
    const deletion = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['batch.kubernetes.io/job-tracking'] };
    for (const [i, status] of [...deleted, ...statuses].entries()) {
      const metadata = {
        namespace,
        name: `${job}-${i}`,
        labels: { [key]: value },
        ...(i < deleted.length && deletion),
      };
      world.server.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, status } as KubeObject);
    }
    const shown = { apiVersion: 'batch/v1', kind: 'Job', metadata: { namespace, name: job } };
    return (await readAttempts(world.context, shown, never)).waiting;
  }

  it('is that of a pod that may begin', async () => {
    const wait = await waitOf('pulling', [{ phase: 'Pending', ...pulling }]);
    assert.equal(wait, 'the pod pulling-0 cannot begin (ImagePullBackOff): no such image');
  });

  it('is none where the migrations of another pod run', async () => {
    assert.equal(await waitOf('runs', [{ phase: 'Pending', ...pulling }, running]), undefined);
    const besides = { phase: 'Running', ...container({ running: {} }, 'proxy') };
    assert.match(
      (await waitOf('proxy', [{ phase: 'Pending', ...pulling }, besides]))!,
      /^the pod proxy-0 cannot begin/,
    );
  });

  it('is not that of a pod that was evicted, has failed, or goes', async () => {
    const unscheduled = { conditions: [{ type: 'PodScheduled', status: 'False', message: 'no node' }] };
    const evicted = { phase: 'Failed', reason: 'Evicted', ...pulling };
    assert.equal(await waitOf('evicted', [evicted, { phase: 'Succeeded', ...pulling }]), undefined);
    assert.equal(await waitOf('unscheduled', [{ phase: 'Failed', ...unscheduled }]), undefined);
    assert.equal(await waitOf('goes', [], [{ phase: 'Pending', ...pulling }]), undefined);
    const lost = await waitOf('lost', [{ phase: 'Pending', ...pulling }], [running]); // whose node is away
    assert.match(lost!, /^the pod lost-1 cannot begin/);
  });
});
