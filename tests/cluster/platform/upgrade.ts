import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { field, helm, kubectl, read, rolledOut, sql } from './cluster.ts';
import { collectorUrl } from './collector.ts';
import { chart, podsOf, release, services } from './installed.ts';
import type { Installed } from './installed.ts';

/** An image of the platform with one more migration of users: next/Dockerfile. */
const nextTag = process.env['MILLRACE_NEXT_TAG'];

interface Pod {
  spec: { containers: { image: string }[] };
  status: { containerStatuses: { state: { running?: { startedAt: string } } }[] };
}

/** An upgrade that rolls every service: a common setting, and, if it is given, the next release with a migration. */
export function upgrade(platform: Installed): void {
  describe('an upgrade', () => {
    test('of every service under load loses no request', async (t) => {
      const earlier = await Promise.all(services.map((name) => field(`deployment/${name}`, '.metadata.generation')));
      const settings = [
        `telemetry.otlpEndpoint=${collectorUrl}`,
        'telemetry.sampleRatio=0', // only the traces that a client starts
        `defaults.podAnnotations.rolled=at-${Date.now()}`,
        ...(nextTag === undefined ? [] : [`image.tag=${nextTag}`]),
      ];
      const { placed, some, failed, failures } = await platform.underLoad(async () => {
        await helm('upgrade', release, chart, '--reuse-values', ...settings.flatMap((setting) => ['--set', setting]));
        await rolledOut();
      });
      const generations = await Promise.all(
        services.map((name) => field(`deployment/${name}`, '.metadata.generation')),
      );
      assert.ok(generations.every((generation, index) => Number(generation) > Number(earlier[index])));
      t.diagnostic(`${placed} orders, ${failed} failures`);
      assert.deepEqual(failures, []);
      await platform.allReadBack(some);
    });

    const withoutNext =
      nextTag === undefined ? 'MILLRACE_NEXT_TAG names no image of tests/cluster/platform/next' : false;
    test('applies a migration before the first pod that needs it', { skip: withoutNext }, async (t) => {
      const users = await read('eventservice/users');
      assert.equal(users.status?.['schemaVersion'], '9000_next');
      const pods = JSON.parse(await kubectl('get', 'pods', `--selector=${podsOf('users')}`, '-o', 'json')) as {
        items: Pod[];
      };
      const isNext = ({ containers: [container] }: Pod['spec']) => container!.image.endsWith(`:${nextTag}`);
      const started = pods.items
        .filter(({ spec }) => isNext(spec))
        .map(({ status }) => Date.parse(status.containerStatuses[0]!.state.running!.startedAt));
      const finished = `SELECT floor(extract(epoch FROM finished_at)) FROM _prisma_migrations WHERE migration_name = '9000_next'`;
      const applied = Number(await sql('users', finished)) * 1000; // a pod's start is in whole seconds, too
      t.diagnostic(`the first pod started ${(Math.min(...started) - applied) / 1000} s after the migration`);
      assert.ok(started.length >= 2 && started.every((at) => at >= applied));
    });
  });
}
