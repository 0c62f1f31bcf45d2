import assert from 'node:assert/strict';
import { test } from 'node:test';

import { untilPasses } from '#test/eventually.ts';
import { field, kubectl } from './cluster.ts';
import { release } from './installed.ts';
import type { Installed } from './installed.ts';

/** The operator waits three minutes until every kubelet has brought the next password to its pods. */
const withinMs = 5 * 60_000;

/** A database and the superuser get other passwords. What renews those of Kafka is Strimzi's: tests/secure-kafka.test.ts has the client's part. */
export function rotation(platform: Installed): void {
  test('renewed passwords fail no request and restart no pod', async (t) => {
    const secrets = ['orders-database', 'postgresql-superuser'];
    const request = `at-${Date.now()}`;
    const ofRelease = `--selector=app.kubernetes.io/instance=${release}`; // the load has a pod, too
    const containers = '-o=jsonpath={.items[*].status.containerStatuses[*].containerID}';
    const pods = () => kubectl('get', 'pods', ofRelease, containers);
    const leaving = () => kubectl('get', 'pods', ofRelease, '-o=jsonpath={.items[*].metadata.deletionTimestamp}');
    await untilPasses(async () => assert.equal(await leaving(), '', 'pods of before the last upgrade'), withinMs);
    const before = await pods();
    const { placed, some, failed, failures } = await platform.underLoad(async () => {
      await kubectl('annotate', 'secret', ...secrets, `millrace.dev/rotate=${request}`, '--overwrite');
      for (const name of secrets)
        await untilPasses(async () => {
          assert.equal(await field(`secret/${name}`, '.metadata.annotations.millrace\\.dev/rotated'), request);
        }, withinMs);
    });
    t.diagnostic(`${placed} orders, ${failed} failures`);
    assert.deepEqual(failures, []);
    assert.equal(await pods(), before);
    await platform.allReadBack(some);
  });
}
