import type { ServerResponse } from 'node:http';
import type { Logger } from '#platform/telemetry';
import { counter, gauge } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { unavailable } from '#platform/http';
import { checkFeed, feedEnd, readFeed } from '#streams/store';
import type { FeedPosition, FeedRow } from '#streams/store';
import { Ticker } from '#platform/lifecycle';
import { encodeRow, isBehind, parseEventId } from './event-stream.ts';
import type { EventId } from './event-stream.ts';

export interface LiveOptions {
  pool: Pool;
  log: Logger;
  pollMs?: number;
  heartbeatMs?: number;
  /** the most unread bytes of a client before it is disconnected */
  maxUnread?: number;
}

interface Client {
  response: ServerResponse;
  /** the position that it has been sent; undefined once it has caught up with the others */
  behind: EventId | undefined;
}

/** The most clients of one process. */
const maxClients = 200;
/** Rows of one read. */
const page = 100;
/** How long a client waits before it connects again, in milliseconds. */
const reconnectMs = 2_000;

const disconnected = counter({
  name: 'millrace_live_slow_clients_total',
  help: 'Clients disconnected for reading too slowly',
});

/**
 * Sends server-sent events to clients. One query to the database serves all clients; without clients there is none. A client
 * that reads too slowly is disconnected: it reconnects and resumes by the id of the last event.
 */
export class LiveFeed {
  readonly #pool: Pool;
  readonly #log: Logger;
  readonly #clients = new Set<Client>();
  readonly #poller: Ticker;
  readonly #maxUnread: number;
  readonly #heartbeat: NodeJS.Timeout;
  /** the position of the clients that are not behind */
  #head: FeedPosition | undefined;
  #stopped = false;

  constructor({ pool, log, pollMs = 250, heartbeatMs = 15_000, maxUnread = 1024 * 1024 }: LiveOptions) {
    this.#pool = pool;
    this.#log = log;
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
   * Sends events to a response until its client leaves: all rows that commit after the client has the head of the response.
   * @param lastEventId where the client resumes; it first gets the missed rows that still exist. Without it, the first
   * events may be slightly older than the request.
   * @throws Problem 503 if there are too many clients
   */
  async attach(response: ServerResponse, lastEventId: string | undefined): Promise<void> {
    this.#checkRoom();
    const resumed = parseEventId(lastEventId);
    // before the head of the response, so that no row is missed in between
    const end = (!resumed && this.#head) || (await feedEnd(this.#pool));
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
    // an id after the end is of a former server: its client has been sent nothing of this one, and waits for what comes
    const isKnown = resumed && BigInt(resumed.xid) < BigInt(end.xid);
    const client: Client = { response, behind: isKnown ? resumed : undefined };
    this.#clients.add(client);
    const onGone = () => this.#disconnect(client);
    response.once('close', onGone);
    response.on('error', onGone); // the client left during a write
    if (response.destroyed) onGone();
    this.#poller.start();
  }

  /** @throws while rows wait for a transaction that is open in the server, or the feed cannot be read */
  async check(): Promise<void> {
    this.#poller.check();
    await checkFeed(this.#pool);
  }

  #checkRoom(): void {
    if (this.#stopped) throw unavailable('The service is stopping', 1);
    if (this.#clients.size >= maxClients) throw unavailable('There are too many live streams', 10);
  }

  #disconnect(client: Client): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#head = undefined; // the next client starts at the end of the feed
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
    const { rows, end } = await readFeed(this.#pool, from, undefined, page);
    if (this.#head !== from) return true; // all clients have left, and new ones have come
    if (BigInt(from.xid) > BigInt(end.xid)) {
      this.#log.warn(
        'the transaction ids are smaller than before: the live stream goes on at the end of the restored feed',
      );
      this.#head = end;
    }
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

  /** Sends the next page to each client that is behind and has read the last one. @returns whether any can take more */
  async #catchUp(head: FeedPosition): Promise<boolean> {
    let more = false;
    for (const client of this.#clients) {
      const { behind, response } = client;
      if (!behind || response.writableNeedDrain) continue;
      if (!isBehind(behind, head)) {
        client.behind = undefined;
        continue;
      }
      const { rows } = await readFeed(this.#pool, { xid: behind.xid, id: behind.after }, head, page);
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

/** The number of a row's items that a client already has. */
function sentOf(row: FeedRow, { xid, after, sent }: EventId): number {
  return row.xid === xid && BigInt(row.id) === BigInt(after) + 1n ? sent : 0;
}
