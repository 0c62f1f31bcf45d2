import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { createLogger } from '#platform/telemetry';
import { transaction } from '#platform/postgres';
import { Problem } from '#platform/http';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { appendToFeed, feedEnd } from '#streams/store';
import { LiveFeed } from './live.ts';

const log = createLogger('test', 'silent');

/** how long a reader waits for events, in milliseconds */
const withinMs = 15_000;

interface Received {
  id: string;
  event: string;
  data: string;
}

/** Reads server-sent events. */
class Reader {
  readonly #controller = new AbortController();
  readonly #answer: Promise<Response>;
  #stream: ReadableStreamDefaultReader<string> | undefined;
  #text = '';
  comments = 0;

  constructor(url: string, lastEventId?: string) {
    const headers = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId };
    this.#answer = fetch(url, { headers, signal: this.#controller.signal });
  }

  async answer(): Promise<Response> {
    return this.#answer;
  }

  /** The next events; undefined if the stream ends first. @throws if they do not come in time */
  async take(count: number): Promise<Received[] | undefined> {
    const late = setTimeout(() => this.#controller.abort(new Error(`there are no ${count} events in time`)), withinMs);
    try {
      return await this.#take(count);
    } finally {
      clearTimeout(late);
    }
  }

  async #take(count: number): Promise<Received[] | undefined> {
    const taken: Received[] = [];
    while (taken.length < count) {
      const block = await this.#block();
      if (block === undefined) return undefined;
      if (block.startsWith(':')) this.comments += 1;
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
      if (field('event')) taken.push({ id: field('id'), event: field('event'), data: field('data') });
    }
    return taken;
  }

  async #block(): Promise<string | undefined> {
    this.#stream ??= (await this.#answer).body!.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end >= 0) {
        const block = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return block;
      }
      const { done, value } = await this.#stream.read();
      if (done) return undefined;
      this.#text += value;
    }
  }

  /** Waits for the head of the response: from then on the client gets events. */
  async opened(): Promise<this> {
    const { status } = await this.#answer;
    assert.equal(status, 200);
    return this;
  }

  leave(): void {
    this.#controller.abort();
  }
}

function dataOf(received: Received[] | undefined): string[] | undefined {
  return received?.map(({ data }) => data);
}

describe('the live stream', () => {
  let database: TestDatabase;
  let live: LiveFeed;
  let server: Server;
  let url: string;
  const readers: Reader[] = [];

  before(async () => {
    database = await createTestDatabase('analytics');
  });
  after(() => database.drop());

  async function serve(options: Partial<ConstructorParameters<typeof LiveFeed>[0]> = {}): Promise<void> {
    live = new LiveFeed({ pool: database.pool, log, pollMs: 5, ...options });
    server = createServer((request, response) => {
      live.attach(response, request.headers['last-event-id']?.toString()).catch((error: unknown) => {
        response.writeHead(error instanceof Problem ? error.status : 500).end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  beforeEach(() => serve());
  afterEach(async () => {
    for (const reader of readers.splice(0)) reader.leave();
    await stop();
  });
  async function stop(): Promise<void> {
    await live.stop();
    server.closeAllConnections();
    server.close();
  }

  const attach = (lastEventId?: string) => {
    const reader = new Reader(url, lastEventId);
    readers.push(reader);
    return reader.opened();
  };
  /** Waits until no open transaction of any test holds back the end of the feed, so that the next client starts after it. */
  const untilSettled = () =>
    eventually(async () => {
      const { rows } = await database.pool.query<{ last: string | null }>(
        'SELECT max(xid::text::bigint) AS last FROM feed',
      );
      return BigInt(rows[0]!.last ?? 0) < BigInt((await feedEnd(database.pool)).xid);
    }, 'every transaction that was open has ended');
  /** Attaches a client that gets no earlier rows of the feed, unless it asks for them. */
  const open = async (lastEventId?: string) => {
    await untilSettled();
    return attach(lastEventId);
  };
  const write = (...items: string[]) => transaction(database.pool, (tx) => appendToFeed(tx, { order: items }));

  it('sends committed rows to all clients', async () => {
    await write('"before"');
    const [one, two] = [await open(), await open()];
    await transaction(database.pool, (tx) => appendToFeed(tx, { order: ['{"n":1}', '{"n":2}'], alert: ['{"n":3}'] }));
    for (const reader of [one, two]) {
      const received = await reader.take(3);
      assert.deepEqual(received?.map(({ event, data }) => [event, data]).toSorted(), [
        ['alert', '{"n":3}'],
        ['order', '{"n":1}'],
        ['order', '{"n":2}'],
      ]);
    }
  });

  it('sends earlier rows, too, while an open transaction holds back the end, and loses no later commit', async () => {
    await untilSettled();
    const [held, slow] = [await database.pool.connect(), await database.pool.connect()];
    await held.query('BEGIN');
    await held.query('SELECT pg_current_xact_id()');
    await write('"a moment before"');
    await slow.query('BEGIN');
    await appendToFeed(slow, { order: ['"written before, committed after"'] });
    const reader = await attach();
    await slow.query('COMMIT');
    await write('"after"');
    await held.query('COMMIT');
    for (const client of [held, slow]) client.release();
    assert.deepEqual(dataOf(await reader.take(3)), [
      '"a moment before"',
      '"written before, committed after"',
      '"after"',
    ]);
  });

  it('resumes after the last event, in the middle of a batch and over several pages', async () => {
    const first = await open();
    await write('1', '2', '3');
    const [, second] = (await first.take(3))!;
    first.leave();
    for (let i = 4; i <= 250; i++) await write(String(i));
    const resumed = await open(second!.id);
    assert.deepEqual(
      dataOf(await resumed.take(248)),
      Array.from({ length: 248 }, (_, i) => String(i + 3)),
    );
    await write('251');
    assert.deepEqual(dataOf(await resumed.take(1)), ['251']);
  });

  it('skips nothing of a transaction that commits late', async (t) => {
    const queries = t.mock.method(database.pool, 'query').mock;
    const reader = await open();
    const slow = await database.pool.connect();
    await slow.query('BEGIN');
    await appendToFeed(slow, { order: ['"slow"'] });
    await write('"quick"');
    const earlier = queries.callCount();
    await eventually(() => queries.callCount() > earlier + 3, 'the feed was read meanwhile');
    await slow.query('COMMIT');
    slow.release();
    assert.deepEqual(dataOf(await reader.take(2)), ['"slow"', '"quick"']);
  });

  it('goes on when the database is restored or moved to a server whose transaction ids are smaller', async (t) => {
    await untilSettled();
    const former = BigInt((await feedEnd(database.pool)).xid) + 1_000_000_000n;
    // the former server's answer to the first client, which asks where the feed ends
    const { mock } = t.mock.method(database.pool, 'query');
    mock.mockImplementationOnce(() => Promise.resolve({ rows: [{ xid: String(former) }] }) as never);
    const reader = await attach();
    const earlier = mock.callCount();
    await eventually(() => mock.callCount() > earlier + 3, 'the feed is read on this server');
    await write('"after"');
    assert.deepEqual(dataOf(await reader.take(1)), ['"after"']);
  });

  it('gives a client whose id is of a former server all that is written from then on', async (t) => {
    const first = await open();
    const former = BigInt((await feedEnd(database.pool)).xid) + 1_000_000_000n;
    const written = Promise.withResolvers<void>();
    const ask = database.pool.query.bind(database.pool) as (...query: unknown[]) => Promise<unknown>;
    t.mock.method(database.pool, 'query', async (...query: unknown[]) => {
      if ((query[0] as { name?: string }).name === 'feed-read') await written.promise;
      return ask(...query);
    });
    const second = await attach(`${former}-6-1`);
    await write('"before the feed is read again"');
    written.resolve();
    for (const reader of [first, second])
      assert.deepEqual(dataOf(await reader.take(1)), ['"before the feed is read again"']);
  });

  it('ignores an unknown id', async () => {
    for (const id of ['x', '0-0-0', '99999999999999999999-1-1', '999999999999999999-5-1']) {
      const reader = await open(id);
      reader.leave();
    }
  });

  it('is an event stream that is not cached', async () => {
    const { headers } = await (await open()).answer();
    assert.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8');
    assert.equal(headers.get('cache-control'), 'no-store');
  });

  it('answers HEAD without a stream', async () => {
    const { status } = await fetch(url, { method: 'HEAD' });
    assert.equal(status, 200);
  });

  it('has a heartbeat', async () => {
    await stop();
    await serve({ heartbeatMs: 10 });
    const reader = await open();
    while (reader.comments === 0) {
      await write('1');
      await reader.take(1);
    }
  });

  it('limits the number of clients', async () => {
    await Promise.all(Array.from({ length: 200 }, () => open()));
    assert.equal((await fetch(url)).status, 503);
  });

  it('disconnects a client that does not read', async () => {
    await stop();
    await serve({ maxUnread: 100_000 });
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    socket.pause();
    const [accepted] = (await connections(server)) as [number];
    assert.equal(accepted, 1);
    const big = JSON.stringify('x'.repeat(1_000_000));
    while (((await connections(server)) as [number])[0] > 0) await write(big);
    socket.destroy();
  });

  it('ends when the service stops', async () => {
    const reader = await open();
    await live.stop();
    assert.equal(await reader.take(1), undefined);
    assert.equal((await fetch(url)).status, 503);
  });
});

function connections(server: Server): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve([count])));
  });
}
