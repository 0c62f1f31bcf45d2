import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Api } from './api.ts';
import { systemClock } from './clock.ts';
import type { Connection } from './connection.ts';
import { LeaderElection, leaseType } from './lease.ts';
import type { Lease } from './lease.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';
import { memoryLog } from './testing/support.ts';
import { eventually } from '#test/eventually.ts';

// A lease is whole seconds at least.
const times = { leaseDurationMs: 1_000, renewDeadlineMs: 600, retryPeriodMs: 60 };

describe('leader election', () => {
  let server: FakeApiServer;
  let connections: Connection[];
  let elections: LeaderElection[];
  let history: string[];

  const candidate = (identity: string, timesOfIt = times): LeaderElection => {
    const connection = server.connection();
    connections.push(connection);
    const election = new LeaderElection({
      api: new Api(connection),
      clock: systemClock,
      log: memoryLog(),
      namespace: 'test',
      name: 'leader',
      identity,
      onStartedLeading: () => void history.push(`${identity} leads`),
      onStoppedLeading: () => void history.push(`${identity} stops`),
      ...timesOfIt,
    });
    elections.push(election);
    election.start();
    return election;
  };
  const lease = () => server.find<Lease>(leaseType, 'test', 'leader')!.spec;

  beforeEach(async () => {
    [connections, elections, history] = [[], [], []];
    server = new FakeApiServer();
    await server.start();
  });
  afterEach(async () => {
    await Promise.all(elections.map((election) => election.stop()));
    await Promise.all(connections.map((connection) => connection.close()));
    await server.stop();
  });

  it('has one leader, which renews', async () => {
    const a = candidate('a');
    await eventually(() => a.leading, 'a leads');
    const b = candidate('b');
    const { renewTime, acquireTime } = lease();
    await eventually(() => lease().renewTime !== renewTime, 'the lease is renewed');
    assert.equal(lease().holderIdentity, 'a');
    assert.equal(lease().acquireTime, acquireTime);
    assert.equal(b.leading, false);
  });

  it('is handed over at once by a leader that stops', async () => {
    const long = { ...times, leaseDurationMs: 20_000, renewDeadlineMs: 10_000 };
    const a = candidate('a', long);
    await eventually(() => a.leading, 'a leads');
    const b = candidate('b', long);
    await eventually(() => server.count('get') > 6, 'b has tried');
    const begin = performance.now();
    await a.stop();
    await eventually(() => b.leading, 'b leads');
    assert.ok(performance.now() - begin < long.leaseDurationMs / 2, 'sooner than the lease would have run out');
    assert.deepEqual(history, ['a leads', 'a stops', 'b leads']);
    assert.equal(lease().leaseTransitions, 1);
  });

  it('is taken over when a leader is silent for the duration of its lease, not before', async () => {
    const dead = { holderIdentity: 'dead', leaseDurationSeconds: 1, renewTime: '2020-01-01T00:00:00.000000Z' };
    server.create(leaseType, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { namespace: 'test', name: 'leader' },
      spec: dead,
    } as Lease);
    const begin = performance.now();
    const b = candidate('b');
    await eventually(() => b.leading, 'b leads');
    const took = performance.now() - begin;
    // the old time in the lease is by another machine's clock and means nothing
    assert.ok(took >= 1_000 && took < 10_000, `${took} ms`);
  });

  it('is given up by a leader that cannot renew, before another may take over, and won back', async () => {
    const a = candidate('a');
    await eventually(() => a.leading, 'a leads');
    const begin = performance.now();
    await server.stop();
    await eventually(() => !a.leading, 'a leads no more');
    const took = performance.now() - begin;
    assert.ok(took <= times.leaseDurationMs, `${took} ms`);
    await server.start();
    await eventually(() => a.leading, 'a leads again');
    assert.deepEqual(history, ['a leads', 'a stops', 'a leads']);
  });

  it('outlives a server that fails for a short time', async () => {
    // a busy machine may stop this process for longer than the usual deadline
    const a = candidate('a', { leaseDurationMs: 40_000, renewDeadlineMs: 30_000, retryPeriodMs: 60 });
    await eventually(() => a.leading, 'a leads');
    server.fail(503, 4);
    await eventually(() => server.requests.length > 8, 'the server has failed');
    assert.deepEqual(history, ['a leads']);
  });

  it('is lost at once to whoever holds the lease by right', async () => {
    const a = candidate('a');
    await eventually(() => a.leading, 'a leads');
    server.patch(leaseType, 'test', 'leader', { spec: { holderIdentity: 'b' } });
    await eventually(() => !a.leading, 'a leads no more');
  });

  it('never has two leaders while candidates come and go', async () => {
    const leading = new Set<string>();
    for (let round = 0; round < 6; round += 1) {
      candidate(`candidate-${round}`);
      if (round >= 2) void elections[round - 2]!.stop();
      await eventually(() => elections.some((one) => one.leading), 'somebody leads');
    }
    await eventually(() => elections.slice(-2).some((one) => one.leading), 'the last one or the one before leads');
    for (const line of history) {
      const [identity = '', what] = line.split(' ');
      if (what === 'leads') leading.add(identity);
      else leading.delete(identity);
      assert.ok(leading.size <= 1, history.join(', '));
    }
  });
});
