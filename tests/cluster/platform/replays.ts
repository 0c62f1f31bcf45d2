import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import { newOrder, newUser } from '../../platform/client.ts';
import { untilPasses } from '#test/eventually.ts';
import { apply, conditionOf, kubectl, read, sql } from './cluster.ts';
import type { Installed } from './installed.ts';
import { watchOf } from './watching.ts';

/** Dead letters of notifications, caused by a table that refuses rows, and replayed before and after its repair. */
export function replays(platform: Installed): void {
  describe('a DeadLetterReplay', { concurrency: 1 }, () => {
    const replay = (name: string, spec: object) =>
      apply({
        apiVersion: 'millrace.dev/v1beta1',
        kind: 'DeadLetterReplay',
        metadata: { name },
        spec: { group: 'notifications', maxMessages: 10, ...spec },
      });
    const mend = () => sql('notifications', 'ALTER TABLE notifications DROP CONSTRAINT IF EXISTS no_sluice');
    after(async () => {
      await mend();
      await kubectl('delete', 'deadletterreplays', '--all', '--wait=false');
    });

    test('replays the dead letters of its group, reports a second failure, and is deleted after its TTL', async () => {
      const { body } = await platform.gateway.call<{ id: number }>('POST', '/api/users', newUser('dead'));
      const check = `CHECK (user_id <> ${body.id} OR type <> 'order.created') NOT VALID`;
      await sql('notifications', `ALTER TABLE notifications ADD CONSTRAINT no_sluice ${check}`);
      for (let i = 0; i < 3; i += 1) await platform.gateway.call('POST', '/api/orders', newOrder(body.id));
      await untilPasses(async () => {
        const { status } = await read('eventservice/notifications');
        assert.equal(status?.['deadLetters'], 3, 'the service counts its dead letters');
      }, 60_000);

      await replay('guarded', { maxMessages: 2 });
      await kubectl('wait', '--for=condition=Failed', 'dlr/guarded', '--timeout=30s');
      const guarded = conditionOf(await read('dlr/guarded'), 'Failed');
      assert.equal(guarded?.reason, 'TooManyMessages');

      await replay('in-vain', {});
      await kubectl('wait', '--for=condition=Failed', 'dlr/in-vain', '--timeout=60s');
      const vain = await read('dlr/in-vain');
      assert.equal(conditionOf(vain, 'Failed')?.message, '0 were handled, 3 failed again');
      for (const { outcome, error } of vain.status!['outcomes'])
        assert.match(`${outcome}: ${error}`, /^Failed: .*no_sluice/);

      await mend();
      const watch = watchOf('dlr');
      await replay('mended', { retryFailed: true, ttlSecondsAfterFinished: 5 });
      await kubectl('wait', '--for=condition=Complete', 'dlr/mended', '--timeout=60s');
      assert.match(
        await watch.until(/^mended +True +Replayed +3\/3 +0 /m),
        /^NAME +READY +REASON +PROGRESS +FAILED +AGE/,
      );
      await watch.close();
      await untilPasses(async () => {
        const sent = await platform.gateway.call<{ type: string }[]>('GET', `/api/notifications/user/${body.id}`);
        assert.equal(sent.body.filter(({ type }) => type === 'order.created').length, 3);
      }, 30_000);
      await kubectl('wait', '--for=delete', 'dlr/mended', '--timeout=30s');
    });
  });
}
