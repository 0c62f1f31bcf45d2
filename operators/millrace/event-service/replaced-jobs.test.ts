import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';

import type { EventServiceSpec } from '#platform/declaration-schema';
import { keyOf } from '#runtime/objects.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { eventually } from '#test/eventually.ts';
import { eventServices, jobs, pods } from '../api/kinds.ts';
import { eventServiceWorld } from '../testing/event-services.ts';
import type { EventServiceWorld } from '../testing/event-services.ts';
import { namespace } from '../testing/world.ts';
import { podsOf } from './migration.ts';

type Migration = NonNullable<EventServiceSpec['migration']>;

describe('a Job of migrations', () => {
  const resources = { requests: { cpu: '50m' } };
  const tolerations = [{ key: 'dedicated', operator: 'Exists' }];
  let world: EventServiceWorld;
  let first: KubeObject;

  beforeEach(async () => {
    world = await eventServiceWorld();
    world.declare('orders', {
      image: 'shop:1',
      databases: [{ name: 'orders', schema: 'prisma/orders' }],
      postgresql: { superuserSecretRef: { name: 'superuser' }, databaseName: '{name}' },
      migration: { resources },
    });
    first = await eventually(() => all()[0], 'there is a Job');
    await eventually(() => world.context.jobs.store.get(keyOf(first)), 'the operator has seen it');
  });
  afterEach(() => world.stop());

  const all = () => world.server.all(jobs);
  const change = (spec: { image?: string; migration?: Migration }) =>
    world.server.patch(eventServices, namespace, 'orders', { spec });
  /** The pod of the first Job, with the state of a container. */
  const pod = (name: string, state: object) => {
    const [key = '', value = ''] = podsOf(first.metadata.name).split('=');
    const metadata = { namespace, name: 'pod', labels: { [key]: value } };
    const status = { containerStatuses: [{ name, state }] };
    return world.server.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, status } as KubeObject);
  };
  const ends = (type: string) =>
    world.server.patch(
      jobs,
      namespace,
      first.metadata.name,
      { status: { conditions: [{ type, status: 'True' }] } },
      'status',
    );
  const podSpecOf = (job: KubeObject) =>
    (job as unknown as { spec: { template: { spec: Record<string, unknown> } } }).spec.template.spec;
  const ttlOf = (job: KubeObject) =>
    (job as unknown as { spec: { ttlSecondsAfterFinished?: number } }).spec.ttlSecondsAfterFinished;
  const isAnother = (what: string) =>
    eventually(() => {
      const [job, ...others] = all();
      return others.length === 0 && job && job.metadata.uid !== first.metadata.uid ? job : undefined;
    }, what);
  /** Waits until the operator has looked at the service as it is now. */
  const isSeen = async () => {
    const { generation } = world.service('orders')!.metadata;
    await eventually(() => world.service('orders')!.status?.observedGeneration === generation, 'the change is seen');
  };

  /** Lets the operator look at the service, and write what it sees. */
  const isLookedAt = async () => {
    world.server.patch(eventServices, namespace, 'orders', { spec: { calls: [randomUUID()] } });
    await isSeen();
  };

  it('that waits for a node is made again where its pods are to run elsewhere', async () => {
    pod('migrate', { waiting: { reason: 'ContainerCreating' } });
    change({ migration: { resources, tolerations } });
    const job = await isAnother('it is made again');
    assert.equal(job.metadata.name, first.metadata.name);
    assert.deepEqual(podSpecOf(job)['tolerations'], tolerations);
  });

  it('that has failed is made again with more memory', async () => {
    ends('Failed');
    await eventually(() => world.condition('orders', 'Migrated')?.reason === 'MigrationFailed', 'the failure is seen');
    change({ migration: { resources: { limits: { memory: '1Gi' } } } });
    await isAnother('it is made again');
  });

  it('that has failed stays, with the reason that went with its pod, until the image changes or somebody deletes it', async () => {
    const said = () => world.condition('orders', 'Migrated');
    const message = 'its last attempt: no such column';
    const { metadata } = pod('migrate', { terminated: { exitCode: 1, message: 'no such column' } });
    await isLookedAt();
    assert.ok(said()!.message.endsWith(message), said()!.message);
    world.server.delete(pods, namespace, metadata.name);
    ends('Failed');
    await eventually(() => said()?.reason === 'MigrationFailed', 'it has given up');
    for (let times = 0; times < 2; times += 1) {
      await isLookedAt();
      assert.ok(said()!.message.endsWith(message), said()!.message);
      assert.equal(world.condition('orders', 'Stalled')!.message, said()!.message);
    }
    assert.equal(ttlOf(all()[0]!), undefined, 'it would be made again after that');

    world.server.delete(jobs, namespace, first.metadata.name);
    first = await isAnother('it is made again');
    await eventually(() => said()?.reason === 'Migrating', 'it has begun');
    ends('Failed');
    await eventually(() => said()?.reason === 'MigrationFailed', 'it fails again');
    assert.doesNotMatch(said()!.message, /no such column/, 'that was the other one');
    change({ image: 'shop:2' });
    await isAnother('the Job of the next image has taken its place');
  });

  it('says so where a container before its own, or a usual wait for long, keeps it from its begin', async () => {
    const waits = (name: string, reason: string) => [{ name, state: { waiting: { reason, message: 'why' } } }];
    const { metadata } = pod('migrate', { waiting: { reason: 'PodInitializing' } });
    const says = async (expected: RegExp | undefined) => {
      await isLookedAt();
      const { reason, message } = world.condition('orders', 'Migrated')!;
      assert.equal(reason, expected ? 'MigrationWaiting' : 'Migrating');
      if (expected) assert.match(message, expected);
    };
    await says(undefined);
    for (const reason of ['ImagePullBackOff', 'CrashLoopBackOff']) {
      const status = { initContainerStatuses: waits('istio-init', reason) };
      world.server.patch(pods, namespace, metadata.name, { status }, 'status');
      await says(new RegExp(`the pod pod cannot begin \\(${reason}\\): why$`));
    }
    world.server.patch(pods, namespace, metadata.name, { status: { initContainerStatuses: null } }, 'status');
    await says(undefined);
    const startTime = new Date(Date.now() - 121_000).toISOString();
    world.server.patch(pods, namespace, metadata.name, { status: { startTime } }, 'status');
    await says(/the pod pod cannot begin \(PodInitializing\)/);
  });

  it('that a proxy keeps from its end is made again without the proxy', async () => {
    pod('proxy', { running: {} });
    change({ migration: { resources, podAnnotations: { 'sidecar.istio.io/inject': 'false' } } });
    await isAnother('it is made again');
  });

  it('goes on where its migrations are running, and makes way when they are not', async () => {
    const { metadata } = pod('migrate', { running: {} });
    change({ migration: { resources, tolerations } });
    await isSeen();
    assert.equal(all()[0]!.metadata.uid, first.metadata.uid);
    change({ image: 'shop:2' });
    await eventually(() => all().length === 2, 'the next image has a Job, too');
    await isSeen();
    assert.equal(all().length, 2);

    const terminated = { containerStatuses: [{ name: 'migrate', state: { waiting: { reason: 'CrashLoopBackOff' } } }] };
    world.server.patch(pods, namespace, metadata.name, { status: terminated }, 'status');
    await isAnother('only that of the next image is left');
  });

  it('of an earlier image that never began is gone with the image', async () => {
    change({ image: 'shop:2' });
    const job = await isAnother('the Job of the next image has taken its place');
    assert.notEqual(job.metadata.name, first.metadata.name);
  });

  it('stays where it has finished, whatever its pods were', async () => {
    ends('Complete');
    await eventually(() => world.condition('orders', 'Ready')?.status === 'True', 'they are applied');
    assert.equal(ttlOf(all()[0]!), 600, 'Kubernetes deletes it, after people had time to read its log');
    change({ migration: { resources, tolerations } });
    await isSeen();
    assert.equal(world.condition('orders', 'Migrated')?.reason, 'Applied');
    assert.equal(all()[0]!.metadata.uid, first.metadata.uid);
  });

  it('that has succeeded, and that somebody deletes at once, has applied the migrations all the same', async () => {
    world.server.fail(404, Infinity, ({ verb, path }) => verb === 'patch' && path.includes('/jobs/'));
    ends('Complete');
    await eventually(() => world.condition('orders', 'Ready')?.status === 'True', 'they are applied');
  });
});
