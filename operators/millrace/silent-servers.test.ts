import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { after, before, describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import pino from 'pino';

import { withConnection } from '#platform/postgres';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { startProxy } from '#test/proxy.ts';
import { testServers } from '#test/servers.ts';
import { apiVersion } from './api/common.ts';
import { ConsumerLagReader } from './consumer-lag.ts';
import { ExternalKafka } from './external-kafka/external-kafka.ts';
import { SilentServers } from './silent-servers.ts';
import { createWorld, namespace } from './testing/world.ts';
import type { World } from './testing/world.ts';

const timeout = new Error('timeout expired');
const said = /Kafka has not answered in \d+ ms/;

describe('a server that does not answer', () => {
  it('is asked by one worker at a time, however long that takes, and ever more seldom', async () => {
    const clock = new ManualClock();
    const servers = new SilentServers(clock);
    const ask = (work: () => Promise<void>) => servers.ask('pg:5432', work);
    let asked = 0;
    const silent = () => {
      asked += 1;
      return Promise.reject(timeout);
    };
    for (const pauseMs of [5_000, 10_000, 20_000, 30_000, 30_000]) {
      await assert.rejects(ask(silent), timeout);
      const sofar = asked;
      await clock.advance(pauseMs - 1);
      await assert.rejects(ask(silent), timeout);
      assert.equal(asked, sofar, 'nobody asks');
      await clock.advance(1);
    }
    const answer = Promise.withResolvers<void>();
    const first = ask(() => answer.promise);
    await clock.advance(10 * 60_000);
    await assert.rejects(
      ask(() => Promise.resolve()),
      timeout,
      'another one asks',
    );
    await servers.ask('another:5432', () => Promise.resolve());
    answer.resolve();
    await first;
    assert.equal(servers.isSilent('pg:5432'), false);
  });

  it('is not asked again while an attempt goes on that nobody waits for', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const clock = new ManualClock();
    const servers = new SilentServers(clock);
    let asked = 0;
    const ask = (answer: Promise<void>) =>
      servers.ask('kafka:9092', () => ((asked += 1), answer), { ms: 10_000, whose: 'Kafka' });
    const isLate = async (answer: Promise<void>) => {
      const late = assert.rejects(ask(answer), said);
      await turn();
      t.mock.timers.tick(10_000);
      await late;
    };
    const isNotAsked = async () => {
      const sofar = asked;
      await assert.rejects(ask(Promise.resolve()), said);
      assert.equal(asked, sofar);
    };
    const abandoned = Promise.withResolvers<void>();
    await isLate(abandoned.promise);
    await clock.advance(59_000);
    await isNotAsked();
    abandoned.resolve();
    await clock.advance(4_999);
    await isNotAsked();
    await clock.advance(1);
    await isLate(new Promise(() => undefined));
    await clock.advance(59_999);
    await isNotAsked();
    await clock.advance(1);
    await ask(Promise.resolve());
    assert.equal(asked, 3);
  });

  it('is none that others keep waiting for their turn', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const servers = new SilentServers(new ManualClock());
    const answers = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const asked = answers.map(({ promise }) => servers.ask('kafka:9092', () => promise, { ms: 5_000, whose: 'Kafka' }));
    for (const { resolve } of answers) {
      await turn();
      t.mock.timers.tick(4_000);
      resolve();
    }
    await Promise.all(asked);
  });

  it('is none that keeps one waiting too long, who gives up and leaves the others in their order', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const servers = new SilentServers(new ManualClock());
    const asked: string[] = [];
    const ask = (who: string, answer?: Promise<void>) =>
      servers.ask('kafka:9092', () => (asked.push(who), answer ?? Promise.resolve()), { ms: 12_000, whose: 'Kafka' });
    const slow = Promise.withResolvers<void>();
    const first = ask('first', slow.promise);
    const second = assert.rejects(ask('second'), /Kafka answers slowly: .* has waited for its turn for 10000 ms/);
    await turn();
    t.mock.timers.tick(10_000);
    await second;
    const third = ask('third');
    await turn();
    assert.deepEqual([asked, servers.isSilent('kafka:9092')], [['first'], false]);
    slow.resolve();
    await Promise.all([first, third]);
    assert.deepEqual(asked, ['first', 'third']);
  });

  it('is one, too, that falls silent in the middle of the work', async (t) => {
    const url = new URL(testServers().postgres);
    const proxy = await startProxy(url.hostname, Number(url.port));
    t.after(() => proxy.stop());
    url.port = String(proxy.port);
    const servers = new SilentServers(new ManualClock());
    const ask = () =>
      withConnection(
        { connectionString: url.href },
        async (client) => {
          await client.query('SELECT 1');
          proxy.silence();
          await client.query('SELECT 2');
        },
        300,
      );
    await assert.rejects(servers.ask('pg:5432', ask), { code: 'ERR_DATABASE_SILENT' });
    assert.ok(servers.isSilent('pg:5432'));
  });

  it('is none that refuses', async () => {
    const servers = new SilentServers(new ManualClock());
    const refusal = new Error('password authentication failed');
    for (let times = 0; times < 2; times += 1)
      await assert.rejects(
        servers.ask('pg:5432', () => Promise.reject(refusal)),
        refusal,
      );
    await servers.ask('pg:5432', () => Promise.resolve());
  });
});

describe('a Kafka that takes connections and says nothing', () => {
  const log = pino({ enabled: false });
  const never = new AbortController().signal;
  let world: World;
  before(async () => void (world = await createWorld(new ManualClock())));
  after(() => world.stop());

  /**
   * Asks such a Kafka, lets the time pass that one waits for an answer, and asks again: that is answered at once.
   */
  async function isRemembered(
    t: TestContext,
    {
      ask,
      close,
    }: { ask: (kafka: { external: { bootstrapServers: string } }) => Promise<unknown>; close: () => Promise<void> },
  ): Promise<void> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await close();
    });
    const kafka = { external: { bootstrapServers: `127.0.0.1:${(server.address() as AddressInfo).port}` } };
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const first = assert.rejects(ask(kafka), said);
    while (sockets.size === 0) await turn();
    t.mock.timers.tick(10_000);
    await first;
    await assert.rejects(ask(kafka), said);
    t.mock.timers.reset();
  }

  it('keeps no worker that reads a lag', async (t) => {
    const reader = new ConsumerLagReader(world.context, log);
    await isRemembered(t, {
      ask: (kafka) => reader.read({ namespace, kafka }, ['order-events'], [], never),
      close: () => reader.close(),
    });
  });

  it('keeps no worker that makes topics', async (t) => {
    const externalKafka = new ExternalKafka(world.context, log);
    let services = 0;
    await isRemembered(t, {
      async ask(kafka) {
        const metadata = { namespace, name: `service-${(services += 1)}` };
        const spec = { port: 8080, kafka, produces: [{ topic: 'order-events', partitions: 1, retention: -1 }] };
        const service = { apiVersion, kind: 'EventService', metadata, spec };
        const { reason, message } = await externalKafka.topics(service, kafka.external, never);
        assert.equal(reason, 'KafkaUnavailable');
        throw new Error(message);
      },
      close: () => externalKafka.close(),
    });
  });
});
