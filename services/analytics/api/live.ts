import type { ServerResponse } from 'node:http';
import type { Logger } from '#platform/telemetry';
import { counter, gauge } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { unavailable } from '#platform/http';
import { feedEnd, readFeed } from '#streams/store';
import type { FeedPosition, FeedRow } from '#streams/store';
import { Ticker } from '#platform/lifecycle';
import { encodeRow, isBehind, parseEventId } from './event-stream.ts';
import type { EventId } from './event-stream.ts';

export interface LiveOptions {
  pool: Pool;
  log: Logger;
  pollMs?: number;
  heartbeatMs?: number;
  /** bytes that a client may leave unread before it is disconnected */
  maxUnread?: number;
}

interface Client {
  response: ServerResponse;
  /** what it has been sent; undefined once it is fed with all the others */
  behind: EventId | undefined;
}

/** Clients at a time, in one process. */
const maxClients = 200;
/** Rows that are read at once. */
const page = 100;
/** How long a client waits before it connects again, in milliseconds. */
const reconnectMs = 2_000;

const disconnected = counter({
  name: 'millrace_live_slow_clients_total',
  help: 'Clients disconnected for reading too slowly',
});

/**
 * Feeds clients with server-sent events. The database is asked once for all of them, and only while there are any. A client
 * that reads too slowly is disconnected: it comes back and goes on where it was, by the id of the last event.
 */
export class LiveFeed {
  readonly #pool: Pool;
  readonly #clients = new Set<Client>();
  readonly #poller: Ticker;
  readonly #maxUnread: number;
  readonly #heartbeat: NodeJS.Timeout;
  /** up to where those who are not behind have been fed */
  #head: FeedPosition | undefined;
  #stopped = false;

  constructor({ pool, log, pollMs = 250, heartbeatMs = 15_000, maxUnread = 1024 * 1024 }: LiveOptions) {
    this.#pool = pool;
    this.#maxUnread = maxUnread;
    this.#poller = new Ticker({ name: 'live feed', everyMs: pollMs, log, run: () => this.#poll() });
    this.#heartbeat = setInterval(() => this.#write(': heartbeat\n\n', this.#clients), heartbeatMs).unref();
    const clients = this.#clients;
    gauge({
      name: 'millrace_live_clients',
      help: 'Clients of the live stream',
      collect() {
        this.set(clients.size);
      },
    });
  }

  /**
   * Feeds a response until its client leaves: whatever is committed once the client has the head of the answer is sent.
   * @param lastEventId where the client goes on; what it missed is sent first, as far as it is still kept. Without it the
   * first events may be some that were committed a moment before.
   * @throws Problem 503 where there are too many clients
   */
  async attach(response: ServerResponse, lastEventId: string | undefined): Promise<void> {
    this.#checkRoom();
    // before the head of the answer, so that nothing is missed in between
    const end = this.#head ?? (await feedEnd(this.#pool));
    this.#checkRoom();
    this.#head ??= end;
    response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    });
    if (response.req.method === 'HEAD') {
      response.end();
      return;
    }
    response.write(`retry: ${reconnectMs}\n\n`);
    const client: Client = { response, behind: parseEventId(lastEventId) };
    this.#clients.add(client);
    const onGone = () => this.#disconnect(client);
    response.once('close', onGone);
    response.on('error', onGone); // the client went while it was being written to
    if (response.destroyed) onGone();
    this.#poller.start();
  }

  #checkRoom(): void {
    if (this.#stopped) throw unavailable('The service is stopping', 1);
    if (this.#clients.size >= maxClients) throw unavailable('There are too many live streams', 10);
  }

  #disconnect(client: Client): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#head = undefined; // the next one begins at the end of its time
  }

  /** Ends every stream. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#heartbeat);
    for (const { response } of this.#clients) response.end();
    this.#clients.clear();
    await this.#poller.stop();
  }

  async #poll(): Promise<boolean> {
    const from = this.#head;
    if (from === undefined || this.#clients.size === 0) {
      this.#head = undefined;
      void this.#poller.stop(); // until the next client
      return false;
    }
    const rows = await readFeed(this.#pool, from, undefined, page);
    if (this.#head !== from) return true; // all have left, and others have come
    for (const row of rows) {
      this.#write(encodeRow(row), this.#fed());
      this.#head = { xid: row.xid, id: row.id };
    }
    const catchingUp = await this.#catchUp(this.#head);
    return catchingUp || rows.length === page;
  }

  /** The clients that are not behind. */
  #fed(): Client[] {
    return [...this.#clients].filter(({ behind }) => behind === undefined);
  }

  /** Sends each client that is behind another page, if it has read the last one. @returns whether any can have more now */
  async #catchUp(head: FeedPosition): Promise<boolean> {
    let more = false;
    for (const client of this.#clients) {
      const { behind, response } = client;
      if (!behind || response.writableNeedDrain) continue;
      if (!isBehind(behind, head)) {
        client.behind = undefined;
        continue;
      }
      const rows = await readFeed(this.#pool, { xid: behind.xid, id: behind.after }, head, page);
      this.#write(rows.map((row) => encodeRow(row, sentOf(row, behind))).join(''), [client]);
      const last = rows.at(-1);
      client.behind = last && rows.length === page ? { xid: last.xid, after: last.id, sent: 0 } : undefined;
      more ||= client.behind !== undefined;
    }
    return more;
  }

  #write(text: string, clients: Iterable<Client>): void {
    if (text === '') return;
    for (const client of clients) {
      client.response.write(text);
      if (client.response.writableLength <= this.#maxUnread) continue;
      disconnected.inc();
      this.#disconnect(client);
      client.response.destroy();
    }
  }
}

/** How many items of a row a client has been sent before. */
function sentOf(row: FeedRow, { xid, after, sent }: EventId): number {
  return row.xid === xid && BigInt(row.id) === BigInt(after) + 1n ? sent : 0;
}
